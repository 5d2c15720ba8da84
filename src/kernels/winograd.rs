//! 3x3 convolution by Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray, arXiv 1509.09308): a quarter of the
//! multiplications.
//!
//! Tiles of 6x6 inputs, overlapping by two, are transformed to 36 values a channel; each of the 36 is multiplied with a
//! matrix of its own, `[input, output]`; the 36 sums of an output channel are transformed to a tile of 4x4 outputs.

use super::Isa;
use super::aligned::Aligned;
use super::filter;
use super::map::{Map, Shape, TILE};
use super::simd::{Simd, dispatch, load_strided};
use super::tile::{MAX_WIDTH, Panels, Rows};
use crate::parallel::{Pool, SharedMut};

/// Inputs of a tile, a side.
const SPAN: usize = TILE + 2;
/// Values of a transformed tile.
const POINTS: usize = SPAN * SPAN;
/// Tiles that go through the matrices together, about: their values and the weights share the second-level cache.
const BLOCK_TILES: usize = 32;
/// Values between the matrices of a block, so that they do not all fall into the same sets of the cache.
const SKEW: usize = 16;

/// A 3x3 convolution of stride 1, transformed and packed for one instruction set.
#[derive(Clone, Debug)]
pub(crate) struct Winograd {
    /// One matrix `[input, output]` for each point, on top of one another.
    points: Panels,
    input: usize,
    isa: Isa,
}

/// Working memory of a convolution.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    /// The transformed block that all threads work on together.
    values: Aligned,
    /// Of each thread.
    own: Vec<Aligned>,
}

/// How much working memory convolutions take, in values.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Needs {
    values: usize,
    own: usize,
}

impl Needs {
    /// What is enough for both.
    pub(crate) fn max(self, other: Self) -> Self {
        Self { values: self.values.max(other.values), own: self.own.max(other.own) }
    }

    /// Memory that this takes on `threads` threads.
    pub(crate) fn bytes(self, threads: usize) -> usize {
        Aligned::bytes(self.values) + threads * (Aligned::bytes(self.own) + size_of::<Aligned>())
    }
}

impl Scratch {
    /// Makes room for `needs` on `threads` threads.
    pub(crate) fn reserve(&mut self, needs: Needs, threads: usize) {
        self.values.reserve(needs.values);
        self.own.resize_with(threads.max(self.own.len()), Aligned::default);
        self.own.iter_mut().for_each(|own| own.reserve(needs.own));
    }
}

/// The tiles of a map in blocks of whole rows, as evenly as can be.
#[derive(Clone, Copy)]
struct Grid {
    rows: usize,
    columns: usize,
    blocks: usize,
}

impl Grid {
    /// As few blocks as keep to [`BLOCK_TILES`].
    fn new(Shape { height, width, .. }: Shape) -> Self {
        let (rows, columns) = (height.div_ceil(TILE), width.div_ceil(TILE));
        Self { rows, columns, blocks: rows.div_ceil(BLOCK_TILES.div_ceil(columns)) }
    }

    /// Where each thread has a block or more, as many for each.
    fn shared_out(self, threads: usize) -> Self {
        let blocks = if self.blocks < threads { self.blocks } else { self.blocks.next_multiple_of(threads) };
        Self { blocks: blocks.min(self.rows), ..self }
    }

    fn rows_of(&self, block: usize) -> std::ops::Range<usize> {
        block * self.rows / self.blocks..(block + 1) * self.rows / self.blocks
    }
}

/// Values from one of the 36 matrices `[tiles, columns]` of a block to the next.
fn point_len(tiles: usize, columns: usize) -> usize {
    tiles * columns + SKEW
}

impl Winograd {
    /// Whether the kernels can do this convolution on `isa`.
    pub(crate) fn fits([output, input, kernel, _]: [usize; 4], stride: usize, isa: Isa) -> bool {
        kernel == 3
            && stride == 1
            && input.is_multiple_of(isa.lanes())
            && output.is_multiple_of(2 * isa.lanes())
    }

    /// Transforms and packs `weights` `[output, input, 3, 3]`; see [`fits`](Self::fits).
    pub(crate) fn new([output, input, ..]: [usize; 4], weights: &[f32], isa: Isa, pool: &Pool) -> Self {
        let points = Panels::filled(POINTS * input, output, isa, pool, |panel, values| {
            let width = values.len() / (POINTS * input);
            let mut rows = [[0.0; MAX_WIDTH]; POINTS];
            for i in 0..input {
                // Side by side first: the matrices lie so far apart that they fall into the same sets of the cache.
                filter::transform(isa, &weights[(panel * width * input + i) * 9..], input * 9, &mut rows);
                for (point, row) in rows.iter().enumerate() {
                    values[(point * input + i) * width..][..width].copy_from_slice(&row[..width]);
                }
            }
        });
        Self { points, input, isa }
    }

    /// The working memory that an output of `shape` takes.
    pub(crate) fn needs(&self, shape: Shape) -> Needs {
        let grid = Grid::new(shape);
        let tiles = grid.rows.div_ceil(grid.blocks) * grid.columns;
        let values = POINTS * point_len(tiles, self.input);
        Needs { values, own: values + POINTS * point_len(tiles, self.points.width()) }
    }

    /// Memory that the weights take.
    pub(crate) fn bytes(&self) -> usize {
        self.points.bytes()
    }

    /// Writes the convolution of `source`, with the epilogue, to `out`; its residual is a map like `out`. `scratch` must
    /// hold what the convolution [needs](Self::needs).
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn run(
        &self,
        source: &Map,
        bias: &[f32],
        residual: Option<&Map>,
        relu: bool,
        scratch: &mut Scratch,
        out: &mut Map,
        pool: &Pool,
    ) {
        assert!(residual.is_none_or(|map| (map.shape(), map.border()) == (out.shape(), out.border())));
        let grid = Grid::new(out.shape()).shared_out(pool.threads());
        let run = Run {
            convolution: self,
            grid,
            source,
            bias,
            residual: residual.map(Map::data),
            relu,
            shape: out.shape(),
            line: out.line(),
            origin: out.at(out.border(), out.border()),
            out: SharedMut::new(out.data_mut()),
        };
        if grid.blocks >= pool.threads() {
            pool.for_each_with(&mut scratch.own, grid.blocks, |own, block| run.whole_block(block, own));
        } else {
            for block in 0..grid.blocks {
                run.shared_block(block, scratch, pool);
            }
        }
    }
}

/// One convolution under way.
struct Run<'a> {
    convolution: &'a Winograd,
    grid: Grid,
    source: &'a Map,
    bias: &'a [f32],
    residual: Option<&'a [f32]>,
    relu: bool,
    shape: Shape,
    /// Of the output, as the residual's.
    line: usize,
    /// Index of the first value of the output's position (0, 0).
    origin: usize,
    out: SharedMut<'a>,
}

impl Run<'_> {
    fn tiles(&self, block: usize) -> usize {
        self.grid.rows_of(block).len() * self.grid.columns
    }

    /// A block from input to output on one thread.
    fn whole_block(&self, block: usize, own: &mut [f32]) {
        let (values, sums) = own.split_at_mut(POINTS * point_len(self.tiles(block), self.convolution.input));
        let shared = SharedMut::new(values);
        for row in self.grid.rows_of(block) {
            self.transform_input(block, row, &shared);
        }
        for panel in 0..self.convolution.points.count() {
            self.multiply(block, panel, values, sums);
            self.transform_output(block, panel, sums);
        }
    }

    /// A block with its panels shared out among the threads: for maps of few tiles and many channels.
    fn shared_block(&self, block: usize, scratch: &mut Scratch, pool: &Pool) {
        let Scratch { values, own } = scratch;
        let rows = self.grid.rows_of(block);
        let shared = SharedMut::new(values);
        pool.for_each(rows.len(), |row| self.transform_input(block, rows.start + row, &shared));
        let values = &*values;
        pool.for_each_with(own, self.convolution.points.count(), |sums, panel| {
            self.multiply(block, panel, values, sums);
            self.transform_output(block, panel, sums);
        });
    }

    /// Writes the transformed tiles of row `row` to `values`, 36 matrices `[tiles of the block, input]`.
    fn transform_input(&self, block: usize, row: usize, values: &SharedMut<'_>) {
        let (channels, columns) = (self.convolution.input, self.grid.columns);
        let point = point_len(self.tiles(block), channels);
        let first = (row - self.grid.rows_of(block).start) * columns * channels;
        let offset = self.source.border() - 1;
        let source = &self.source.data()[self.source.at(row * TILE + offset, offset)..];
        let line = self.source.line();
        assert!(channels.is_multiple_of(self.convolution.isa.lanes()));
        assert!(source.len() >= (SPAN - 1) * line + ((columns - 1) * TILE + SPAN) * channels);
        assert!(values.len() >= (POINTS - 1) * point + first + columns * channels);
        // SAFETY: the tiles of the row lie inside the source, and their values inside `values`, where no other row's do.
        unsafe {
            let job = InputJob {
                source: source.as_ptr(),
                line,
                channels,
                tiles: columns,
                out: values.at(first),
                point,
            };
            run_input_row(self.convolution.isa, &job);
        }
    }

    /// Writes the products for one panel of outputs to `sums`, 36 matrices `[tiles, columns of the panel]`.
    fn multiply(&self, block: usize, panel: usize, values: &[f32], sums: &mut [f32]) {
        let (tiles, input) = (self.tiles(block), self.convolution.input);
        let rows = Rows { lines: 1, line: 0, run: input, step: input };
        let weights = &self.convolution.points;
        let width = weights.width();
        for p in 0..POINTS {
            let values = &values[p * point_len(tiles, input)..];
            let sums = &mut sums[p * point_len(tiles, width)..][..tiles * width];
            weights.multiply_panel(panel, p * input, values, rows, tiles, sums);
        }
    }

    /// Transforms the sums of one panel to outputs.
    fn transform_output(&self, block: usize, panel: usize, sums: &[f32]) {
        let width = self.convolution.points.width();
        let Shape { height, width: columns, channels } = self.shape;
        let point = point_len(self.tiles(block), width);
        let first = panel * width;
        assert!(sums.len() >= (POINTS - 1) * point + self.tiles(block) * width && first + width <= channels);
        for (i, row) in self.grid.rows_of(block).enumerate() {
            let at = self.origin + row * TILE * self.line + first;
            let rows = TILE.min(height - row * TILE);
            assert!(at - first + (rows - 1) * self.line + columns * channels <= self.out.len());
            // SAFETY: `rows` rows of `columns` positions from `at` on lie inside the output and, as it is a map of the same
            // shape and border, the residual; no other block or panel has these rows and channels.
            unsafe {
                let job = OutputJob {
                    sums: sums[i * self.grid.columns * width..].as_ptr(),
                    point,
                    width,
                    bias: self.bias[first..first + width].as_ptr(),
                    residual: self.residual.map(|residual| residual[at..].as_ptr()),
                    relu: self.relu,
                    out: self.out.at(at),
                    line: self.line,
                    channels,
                    rows,
                    columns,
                };
                run_output_row(self.convolution.isa, &job);
            }
        }
    }
}

/// A row of tiles to be transformed.
struct InputJob {
    /// Its first tile's first value.
    source: *const f32,
    line: usize,
    channels: usize,
    tiles: usize,
    out: *mut f32,
    point: usize,
}

dispatch! {
    /// # Safety
    /// As [`input_row`].
    unsafe fn run_input_row(job: &InputJob) = input_row
}

/// # Safety
/// The CPU has the instructions of `V`; the channels are whole registers; the source is valid for six lines of
/// `4 * tiles + 2` positions and the output for `tiles * channels` values from each of the 36 points on.
#[inline(always)]
unsafe fn input_row<V: Simd>(job: &InputJob) {
    for tile in 0..job.tiles {
        for channel in (0..job.channels).step_by(V::LANES) {
            // SAFETY: position (y, x) of the tile and the LANES channels from `channel` on lie inside the source, and
            // those of the tile inside each point.
            unsafe {
                let source = job.source.add(tile * TILE * job.channels + channel);
                let mut half = [[V::splat(0.0); SPAN]; SPAN];
                for (x, half) in half.iter_mut().enumerate() {
                    *half = input_points(load_strided(source.add(x * job.channels), job.line));
                }
                let out = job.out.add(tile * job.channels + channel);
                for y in 0..SPAN {
                    let row = input_points(across(&half, y));
                    for (x, value) in row.into_iter().enumerate() {
                        value.store(out.add((y * SPAN + x) * job.point));
                    }
                }
            }
        }
    }
}

/// Value `y` of each column.
#[inline(always)]
fn across<V: Simd, const N: usize>(columns: &[[V; N]; SPAN], y: usize) -> [V; SPAN] {
    let mut row = [columns[0][y]; SPAN];
    for (value, column) in row.iter_mut().zip(columns) {
        *value = column[y];
    }
    row
}

/// `B^T d` of a column of inputs.
///
/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn input_points<V: Simd>(d: [V; SPAN]) -> [V; SPAN] {
    // SAFETY: the caller grants the instructions.
    unsafe {
        let (two, four, minus_five) = (V::splat(2.0), V::splat(4.0), V::splat(-5.0));
        let minus_four = V::splat(-4.0);
        let (a, b) = (d[2].mul_add(minus_four, d[4]), d[1].mul_add(minus_four, d[3]));
        let (c, e) = (d[4].sub(d[2]), d[3].sub(d[1]).mul(two));
        [
            d[0].mul_add(four, d[2].mul_add(minus_five, d[4])),
            a.add(b),
            a.sub(b),
            c.add(e),
            c.sub(e),
            d[1].mul_add(four, d[3].mul_add(minus_five, d[5])),
        ]
    }
}

/// A row of tiles of one panel to be transformed back.
struct OutputJob {
    sums: *const f32,
    point: usize,
    /// Channels of the panel.
    width: usize,
    bias: *const f32,
    residual: Option<*const f32>,
    relu: bool,
    out: *mut f32,
    line: usize,
    channels: usize,
    /// Rows of outputs: 1 to 4.
    rows: usize,
    /// Outputs a row.
    columns: usize,
}

dispatch! {
    /// # Safety
    /// As [`output_row`].
    unsafe fn run_output_row(job: &OutputJob) = output_row
}

/// # Safety
/// The CPU has the instructions of `V`; `width` is a multiple of its lanes; the sums are valid for the row's tiles at each
/// of the 36 points, the bias for `width` values, output and residual for `width` channels of `rows` lines of `columns`
/// positions.
#[inline(always)]
unsafe fn output_row<V: Simd>(job: &OutputJob) {
    for tile in 0..job.columns.div_ceil(TILE) {
        let columns = TILE.min(job.columns - tile * TILE);
        for channel in (0..job.width).step_by(V::LANES) {
            // SAFETY: the tile's sums and, for rows and columns inside the map, its outputs are granted by the caller.
            unsafe {
                let sums = job.sums.add(tile * job.width + channel);
                let mut half = [[V::splat(0.0); TILE]; SPAN];
                for (x, half) in half.iter_mut().enumerate() {
                    *half = output_points(load_strided(sums.add(x * job.point), SPAN * job.point));
                }
                let bias = V::load(job.bias.add(channel));
                for y in 0..job.rows {
                    let row = output_points(across(&half, y));
                    for (x, value) in row.into_iter().take(columns).enumerate() {
                        let at = y * job.line + (tile * TILE + x) * job.channels + channel;
                        let mut value = value.add(bias);
                        if let Some(residual) = job.residual {
                            value = value.add(V::load(residual.add(at)));
                        }
                        if job.relu {
                            value = V::splat(0.0).max(value);
                        }
                        value.store(job.out.add(at));
                    }
                }
            }
        }
    }
}

/// `A^T m` of a column of sums.
///
/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn output_points<V: Simd>(m: [V; SPAN]) -> [V; TILE] {
    // SAFETY: the caller grants the instructions.
    unsafe {
        let (sum, difference) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (far_sum, far_difference) = (m[3].add(m[4]), m[3].sub(m[4]));
        [
            m[0].add(sum).add(far_sum),
            far_difference.mul_add(V::splat(2.0), difference),
            far_sum.mul_add(V::splat(4.0), sum),
            far_difference.mul_add(V::splat(8.0), difference).add(m[5]),
        ]
    }
}
