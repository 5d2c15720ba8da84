//! 3x3 convolution of stride 1 by Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray, arXiv
//! 1509.09308): a quarter of the multiplications of the direct sum.
//!
//! For a tile `d` of 6x6 inputs and a filter `g`, the 4x4 outputs are `A^T [(G g G^T) * (B^T d B)] A`, where
//! `*` multiplies value by value. Over channels, each of the 36 positions of the transformed tile (here:
//! points) becomes a matrix product of its own:
//!
//! ```text
//!      input map                     36 matrices                        36 matrices             output map
//!     ┌───┬───┬──                   ┌─────────────┐                    ┌─────────────┐         ┌───┬───┬──
//!     │6x6 tiles,    B^T d B        │ V_p         │   V_p · U_p        │ M_p         │  A^T M A│4x4 tiles
//!     │overlap   ───────────▶       │[tiles, in]  │ ───────────▶       │[tiles, out] │ ───────▶│
//!     │by 2         each channel    └─────────────┘  U_p = G g G^T     └─────────────┘         │
//!                                     p = 0..36      [in, out], packed
//! ```
//!
//! The transforms work on a register of channels of one tile at a time: six loads of a column, `B^T`, and
//! once all six columns are done, the rows:
//!
//! ```text
//!     d00 d01 .. d05      column x: six registers, one load each     ──▶  half[x] = B^T d_x
//!     d10 d11 .. d15      row y:    half[0][y] half[1][y] .. half[5][y]  ──▶  point 6 y + x  = (row · B)_x
//!      :                  stored to matrix 6 y + x, row = tile, column = channel
//! ```
//!
//! Tiles are processed in blocks of about [`BLOCK_TILES`], so that the matrices of a block stay in the
//! second-level cache. A thread takes a whole block from input to output; where there are fewer blocks than
//! threads, the threads share the panels of each block.

mod filter;

use super::Isa;
use super::aligned::Aligned;
use super::map::{Map, Shape, WINOGRAD_TILE};
use super::simd::{Simd, dispatch, load_strided};
use super::tile::{MAX_PANEL_WIDTH, PackedPanels, StripLayout};
use crate::parallel::{Pool, SharedMut};
use std::ptr;

/// Side of an input tile.
const INPUT_TILE: usize = WINOGRAD_TILE + 2;
/// Values of a transformed tile, for one channel.
const POINTS: usize = INPUT_TILE * INPUT_TILE;
/// Tiles of a block, about.
const BLOCK_TILES: usize = 32;
/// Values between the matrices of a block, so that they do not map to the same sets of the cache.
const SKEW: usize = 16;

/// Executes the block for each constant from 0 to 5. A loop over so much is not unrolled, and an index that
/// varies keeps the tile in memory.
macro_rules! for_each_of_six {
    (|$i:ident| $block:block) => {
        for_each_of_six!(@each $i $block 0 1 2 3 4 5)
    };
    (@each $i:ident $block:block $($value:literal)+) => {
        for_each_of_six!(@one $i $block $($value)+)
    };
    (@one $i:ident $block:block $first:literal $($rest:literal)*) => {
        {
            const $i: usize = $first;
            $block
        }
        for_each_of_six!(@one $i $block $($rest)*)
    };
    (@one $i:ident $block:block) => {};
}

/// A 3x3 convolution of stride 1, transformed and packed for one instruction set.
#[derive(Clone, Debug)]
pub(crate) struct Winograd {
    /// The 36 matrices `U_p` `[input, output]` on top of one another.
    points: PackedPanels,
    input: usize,
    isa: Isa,
}

/// Working memory of a convolution.
#[derive(Clone, Debug, Default)]
pub(crate) struct Workspace {
    /// The transformed inputs of a block that all threads share.
    shared_values: Aligned,
    /// One for each thread: sums, and the transformed inputs of a block of its own.
    per_thread: Vec<Aligned>,
}

/// Size of the working memory of convolutions, in values.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WorkspaceSize {
    shared_values: usize,
    per_thread: usize,
}

impl WorkspaceSize {
    /// A size that is enough for both.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            shared_values: self.shared_values.max(other.shared_values),
            per_thread: self.per_thread.max(other.per_thread),
        }
    }

    /// Memory for `threads` threads, in bytes.
    pub(crate) fn bytes(self, threads: usize) -> usize {
        let per_thread = Aligned::bytes(self.per_thread) + size_of::<Aligned>();
        Aligned::bytes(self.shared_values) + threads * per_thread
    }
}

impl Workspace {
    /// Makes room for `size` on `threads` threads.
    pub(crate) fn reserve(&mut self, size: WorkspaceSize, threads: usize) {
        self.shared_values.reserve(size.shared_values);
        self.per_thread.resize_with(threads.max(self.per_thread.len()), Aligned::default);
        self.per_thread.iter_mut().for_each(|own| own.reserve(size.per_thread));
    }
}

/// The tiles of a map, split into blocks of whole rows of about the same size.
#[derive(Clone, Copy)]
struct Grid {
    rows: usize,
    columns: usize,
    blocks: usize,
}

impl Grid {
    /// The fewest blocks that have about [`BLOCK_TILES`].
    fn new(Shape { height, width, .. }: Shape) -> Self {
        let (rows, columns) = (height.div_ceil(WINOGRAD_TILE), width.div_ceil(WINOGRAD_TILE));
        Self { rows, columns, blocks: rows.div_ceil(BLOCK_TILES.div_ceil(columns)) }
    }

    /// With as many blocks for each thread, if there is one for each.
    fn balanced(self, threads: usize) -> Self {
        let blocks = if self.blocks < threads { self.blocks } else { self.blocks.next_multiple_of(threads) };
        Self { blocks: blocks.min(self.rows), ..self }
    }

    fn rows_of(&self, block: usize) -> std::ops::Range<usize> {
        block * self.rows / self.blocks..(block + 1) * self.rows / self.blocks
    }
}

/// Values from the start of one of the 36 matrices `[tiles, columns]` of a block to the next.
fn point_stride(tiles: usize, columns: usize) -> usize {
    tiles * columns + SKEW
}

impl Winograd {
    /// Whether this convolution is possible: channels must fill whole registers.
    pub(crate) fn fits([output, input, kernel, _]: [usize; 4], stride: usize, isa: Isa) -> bool {
        kernel == 3
            && stride == 1
            && input.is_multiple_of(isa.lanes())
            && output.is_multiple_of(2 * isa.lanes())
    }

    /// Transforms and packs `weights` `[output, input, 3, 3]`; see [`fits`](Self::fits).
    pub(crate) fn new([output, input, ..]: [usize; 4], weights: &[f32], isa: Isa, pool: &Pool) -> Self {
        let points = PackedPanels::filled(POINTS * input, output, isa, pool, |panel, values| {
            let width = values.len() / (POINTS * input);
            let mut rows = [[0.0; MAX_PANEL_WIDTH]; POINTS];
            for i in 0..input {
                // Buffered, because the matrices lie so far apart that they map to the same sets of the
                // cache.
                filter::transform(isa, &weights[(panel * width * input + i) * 9..], input * 9, &mut rows);
                for (point, row) in rows.iter().enumerate() {
                    values[(point * input + i) * width..][..width].copy_from_slice(&row[..width]);
                }
            }
        });
        Self { points, input, isa }
    }

    /// Working memory for an output of `shape`.
    pub(crate) fn workspace_size(&self, shape: Shape) -> WorkspaceSize {
        let grid = Grid::new(shape);
        let tiles = grid.rows.div_ceil(grid.blocks) * grid.columns;
        let values = POINTS * point_stride(tiles, self.input);
        let sums = POINTS * point_stride(tiles, self.points.width());
        WorkspaceSize { shared_values: values, per_thread: values + sums }
    }

    /// Memory of the weights, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.points.bytes()
    }

    /// As [`Convolution::convolve`](super::conv::Convolution::convolve).
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn convolve(
        &self,
        source: &Map,
        bias: &[f32],
        residual: Option<&Map>,
        relu: bool,
        workspace: &mut Workspace,
        out: &mut Map,
        pool: &Pool,
    ) {
        assert!(residual.is_none_or(|map| (map.shape(), map.border()) == (out.shape(), out.border())));
        let grid = Grid::new(out.shape()).balanced(pool.threads());
        let active = ActiveConvolution {
            convolution: self,
            grid,
            source,
            bias,
            residual: residual.map(Map::data),
            relu,
            shape: out.shape(),
            row_stride: out.row_stride(),
            origin: out.index_of(out.border(), out.border()),
            out: SharedMut::new(out.data_mut()),
        };
        if grid.blocks >= pool.threads() {
            pool.for_each_with(&mut workspace.per_thread, grid.blocks, |own, block| {
                active.whole_block(block, own)
            });
        } else {
            for block in 0..grid.blocks {
                active.shared_block(block, workspace, pool);
            }
        }
    }
}

/// The arguments of a convolution under way.
struct ActiveConvolution<'a> {
    convolution: &'a Winograd,
    grid: Grid,
    source: &'a Map,
    bias: &'a [f32],
    residual: Option<&'a [f32]>,
    relu: bool,
    shape: Shape,
    /// Row stride of the output and of the residual.
    row_stride: usize,
    /// Index of the first value of the output's pixel (0, 0).
    origin: usize,
    out: SharedMut<'a>,
}

impl ActiveConvolution<'_> {
    fn tiles(&self, block: usize) -> usize {
        self.grid.rows_of(block).len() * self.grid.columns
    }

    /// Computes a block from input to output on one thread.
    fn whole_block(&self, block: usize, own: &mut [f32]) {
        let (values, sums) =
            own.split_at_mut(POINTS * point_stride(self.tiles(block), self.convolution.input));
        let shared = SharedMut::new(values);
        for row in self.grid.rows_of(block) {
            self.transform_input(block, row, &shared);
        }
        for panel in 0..self.convolution.points.count() {
            self.multiply(block, panel, values, sums);
            self.transform_output(block, panel, sums);
        }
    }

    /// Computes a block with its panels shared by all threads: for maps of few tiles and many channels.
    fn shared_block(&self, block: usize, workspace: &mut Workspace, pool: &Pool) {
        let Workspace { shared_values: values, per_thread } = workspace;
        let rows = self.grid.rows_of(block);
        let shared = SharedMut::new(values);
        pool.for_each(rows.len(), |row| self.transform_input(block, rows.start + row, &shared));
        let values = &*values;
        pool.for_each_with(per_thread, self.convolution.points.count(), |sums, panel| {
            self.multiply(block, panel, values, sums);
            self.transform_output(block, panel, sums);
        });
    }

    /// Layout of each matrix `V_p` of a block.
    fn layout(&self, block: usize) -> StripLayout {
        StripLayout::new(self.tiles(block), self.convolution.input, self.convolution.isa)
    }

    /// Writes the transformed tiles of row `row` to `values`, the 36 matrices `V_p` `[tiles of the block,
    /// input]`.
    fn transform_input(&self, block: usize, row: usize, values: &SharedMut<'_>) {
        let (channels, columns) = (self.convolution.input, self.grid.columns);
        let (layout, point_stride) = (self.layout(block), point_stride(self.tiles(block), channels));
        let offset = self.source.border() - 1;
        let source = &self.source.data()[self.source.index_of(row * WINOGRAD_TILE + offset, offset)..];
        let row_stride = self.source.row_stride();
        let row_len = ((columns - 1) * WINOGRAD_TILE + INPUT_TILE) * channels;
        assert!(channels.is_multiple_of(self.convolution.isa.lanes()));
        assert!(source.len() >= (INPUT_TILE - 1) * row_stride + row_len);
        assert!(values.len() >= (POINTS - 1) * point_stride + self.tiles(block) * channels);
        let first = (row - self.grid.rows_of(block).start) * columns;
        for tile in 0..columns {
            let (start, register_stride) = layout.row(first + tile);
            // SAFETY: the tile lies inside the source, and its values inside `values`, where no other tile's
            // do.
            unsafe {
                let job = InputJob {
                    source: source[tile * WINOGRAD_TILE * channels..].as_ptr(),
                    row_stride,
                    channels,
                    out: values.pointer_at(start),
                    register_stride,
                    point_stride,
                };
                input_tile_on(self.convolution.isa, &job);
            }
        }
    }

    /// Writes the products for one panel of outputs to `sums`, the 36 matrices `M_p` `[tiles, columns of the
    /// panel]`.
    fn multiply(&self, block: usize, panel: usize, values: &[f32], sums: &mut [f32]) {
        let (tiles, input) = (self.tiles(block), self.convolution.input);
        let (weights, layout) = (&self.convolution.points, self.layout(block));
        let width = weights.width();
        for p in 0..POINTS {
            let values = &values[p * point_stride(tiles, input)..];
            let sums = &mut sums[p * point_stride(tiles, width)..][..tiles * width];
            weights.multiply_panel(panel, p * input, values, layout, sums);
        }
    }

    /// Transforms the sums of one panel to outputs.
    fn transform_output(&self, block: usize, panel: usize, sums: &[f32]) {
        let width = self.convolution.points.width();
        let Shape { height, width: columns, channels } = self.shape;
        let point_stride = point_stride(self.tiles(block), width);
        let first = panel * width;
        assert!(
            sums.len() >= (POINTS - 1) * point_stride + self.tiles(block) * width
                && first + width <= channels
        );
        for (i, row) in self.grid.rows_of(block).enumerate() {
            let at = self.origin + row * WINOGRAD_TILE * self.row_stride + first;
            let rows = WINOGRAD_TILE.min(height - row * WINOGRAD_TILE);
            assert!(at - first + (rows - 1) * self.row_stride + columns * channels <= self.out.len());
            // SAFETY: `rows` rows of `columns` pixels from `at` on lie inside the output and, as it is a map
            // of the same shape and border, the residual; no other block or panel has these rows and
            // channels.
            unsafe {
                let job = OutputJob {
                    sums: sums[i * self.grid.columns * width..].as_ptr(),
                    point_stride,
                    width,
                    bias: self.bias[first..first + width].as_ptr(),
                    residual: self.residual.map(|residual| residual[at..].as_ptr()),
                    relu: self.relu,
                    out: self.out.pointer_at(at),
                    row_stride: self.row_stride,
                    channels,
                    rows,
                    columns,
                };
                output_row_on(self.convolution.isa, &job);
            }
        }
    }
}

/// An input tile to transform.
#[repr(C)]
pub(crate) struct InputJob {
    source: *const f32,
    row_stride: usize,
    pub(super) channels: usize,
    /// The first register of the tile's row of `V_0`.
    out: *mut f32,
    /// From one register of that row to the next.
    register_stride: usize,
    point_stride: usize,
}

dispatch! {
    /// # Safety
    /// As [`input_tile`].
    unsafe fn input_tile_on(job: &InputJob) = input_tile
}

/// # Safety
/// The CPU has the instructions of `V`; the channels are whole registers; the source is valid for six rows of
/// six pixels, and the output for the row's registers at each of the 36 points.
#[inline(always)]
unsafe fn input_tile<V: Simd>(job: &InputJob) {
    // SAFETY: as the function's contract says.
    unsafe { V::transform_input(job) }
}

/// # Safety
/// As [`input_tile`].
#[inline(always)]
pub(super) unsafe fn transform_input<V: Simd>(job: &InputJob) {
    for register in 0..job.channels / V::LANES {
        // SAFETY: pixel (y, x) of the tile and the LANES channels of the register lie inside the source; the
        // caller grants the outputs.
        unsafe {
            let source = job.source.add(register * V::LANES);
            let mut half = [[V::splat(0.0); INPUT_TILE]; INPUT_TILE];
            for_each_of_six!(|X| {
                half[X] = input_points(load_strided(source.add(X * job.channels), job.row_stride));
            });
            let out = job.out.add(register * job.register_stride);
            for_each_of_six!(|Y| {
                let row = input_points(row_across(&half, Y));
                for (x, value) in row.into_iter().enumerate() {
                    value.store(out.add((Y * INPUT_TILE + x) * job.point_stride));
                }
            });
        }
    }
}

/// Row `y` of the columns.
#[inline(always)]
fn row_across<V: Simd, const N: usize>(columns: &[[V; N]; INPUT_TILE], y: usize) -> [V; INPUT_TILE] {
    [columns[0][y], columns[1][y], columns[2][y], columns[3][y], columns[4][y], columns[5][y]]
}

/// `B^T d` of a column of inputs.
///
/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn input_points<V: Simd>(d: [V; INPUT_TILE]) -> [V; INPUT_TILE] {
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

/// A row of output tiles of one panel to transform.
struct OutputJob {
    sums: *const f32,
    point_stride: usize,
    /// Channels of the panel.
    width: usize,
    bias: *const f32,
    residual: Option<*const f32>,
    relu: bool,
    out: *mut f32,
    row_stride: usize,
    channels: usize,
    /// Rows of outputs: 1 to 4.
    rows: usize,
    /// Outputs of a row.
    columns: usize,
}

dispatch! {
    /// # Safety
    /// As [`output_row`].
    unsafe fn output_row_on(job: &OutputJob) = output_row
}

/// # Safety
/// The CPU has the instructions of `V`; `width` is a multiple of its lanes; the sums are valid for the row's
/// tiles at each of the 36 points, the bias for `width` values, output and residual for `width` channels of
/// `rows` rows of `columns` pixels.
#[inline(always)]
unsafe fn output_row<V: Simd>(job: &OutputJob) {
    for tile in 0..job.columns.div_ceil(WINOGRAD_TILE) {
        for channel in (0..job.width).step_by(V::LANES) {
            let at = tile * WINOGRAD_TILE * job.channels + channel;
            // SAFETY: the tile's sums and, for rows and columns inside the map, its outputs are granted by
            // the caller.
            unsafe {
                V::transform_output(&OutputTile {
                    sums: job.sums.add(tile * job.width + channel),
                    point_stride: job.point_stride,
                    bias: job.bias.add(channel),
                    residual: job.residual.map_or(ptr::null(), |residual| residual.add(at)),
                    relu: job.relu,
                    out: job.out.add(at),
                    row_stride: job.row_stride,
                    channels: job.channels,
                    rows: job.rows,
                    columns: WINOGRAD_TILE.min(job.columns - tile * WINOGRAD_TILE),
                });
            }
        }
    }
}

/// A register of channels of an output tile to transform.
#[repr(C)]
pub(crate) struct OutputTile {
    sums: *const f32,
    point_stride: usize,
    bias: *const f32,
    /// Null where there is none.
    residual: *const f32,
    relu: bool,
    out: *mut f32,
    row_stride: usize,
    channels: usize,
    /// Rows and columns of outputs that are inside the map: 1 to 4.
    rows: usize,
    pub(super) columns: usize,
}

/// # Safety
/// The CPU has the instructions of `V`; the sums are valid for a register at each of the 36 points, the bias
/// for a register, and output and residual for one at each pixel of the rows and columns.
#[inline(always)]
pub(super) unsafe fn transform_output<V: Simd>(tile: &OutputTile) {
    // SAFETY: as the function's contract says.
    unsafe {
        let mut half = [[V::splat(0.0); WINOGRAD_TILE]; INPUT_TILE];
        let stride = INPUT_TILE * tile.point_stride;
        for_each_of_six!(|X| {
            half[X] = output_points(load_strided(tile.sums.add(X * tile.point_stride), stride));
        });
        let bias = V::load(tile.bias);
        // The most frequent kind has numbers that the compiler knows, and stays in registers.
        if (tile.rows, tile.columns) == (WINOGRAD_TILE, WINOGRAD_TILE) {
            store_row(tile, output_points(row_across(&half, 0)), WINOGRAD_TILE, bias, 0);
            store_row(tile, output_points(row_across(&half, 1)), WINOGRAD_TILE, bias, tile.row_stride);
            store_row(tile, output_points(row_across(&half, 2)), WINOGRAD_TILE, bias, 2 * tile.row_stride);
            store_row(tile, output_points(row_across(&half, 3)), WINOGRAD_TILE, bias, 3 * tile.row_stride);
        } else {
            for y in 0..tile.rows {
                let row = output_points(row_across(&half, y));
                store_row(tile, row, tile.columns, bias, y * tile.row_stride);
            }
        }
    }
}

/// Stores the first `columns` pixels of a row of outputs, with the epilogue, from index `at` of the output
/// on.
///
/// # Safety
/// As [`transform_output`]; these pixels are inside the output.
#[inline(always)]
unsafe fn store_row<V: Simd>(
    tile: &OutputTile,
    mut row: [V; WINOGRAD_TILE],
    columns: usize,
    bias: V,
    at: usize,
) {
    // SAFETY: as the function's contract says.
    unsafe {
        for value in &mut row {
            *value = value.add(bias);
        }
        if !tile.residual.is_null() {
            for (x, value) in row.iter_mut().enumerate().take(columns) {
                *value = value.add(V::load(tile.residual.add(at + x * tile.channels)));
            }
        }
        if tile.relu {
            for value in &mut row {
                *value = V::splat(0.0).max(*value);
            }
        }
        for (x, value) in row.into_iter().enumerate().take(columns) {
            value.store(tile.out.add(at + x * tile.channels));
        }
    }
}

/// `A^T m` of a column of sums.
///
/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn output_points<V: Simd>(m: [V; INPUT_TILE]) -> [V; WINOGRAD_TILE] {
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
