//! The frame: size, sampling and what each component holds.

use super::idct::{self, Dequantizer};
use super::{Refusal, Result};

pub(super) const BAD_COEFFICIENT: Refusal = Refusal::Borrowed("a damaged JPEG (a coefficient out of range)");

/// Coefficients of a block of 8x8 samples, row by row.
pub(super) type Block = [i16; 64];

/// How coefficients come: at once, or refined scan by scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Process {
    Sequential,
    Progressive,
}

/// A frame header (T.81, B.2.2) with the samples.
pub(super) struct Frame {
    pub(super) process: Process,
    pub(super) width: usize,
    pub(super) height: usize,
    /// The largest sampling factors.
    pub(super) h_max: usize,
    pub(super) v_max: usize,
    pub(super) components: Vec<Component>,
}

/// One component. `h` x `v` of its samples cover what `h_max` x `v_max` pixels do.
pub(super) struct Component {
    pub(super) id: u8,
    pub(super) h: usize,
    pub(super) v: usize,
    pub(super) quantization: usize,
    /// The table at the component's first scan, in zigzag order.
    pub(super) steps: Option<[u16; 64]>,
    /// Samples that the picture needs.
    pub(super) width: usize,
    pub(super) height: usize,
    /// Blocks that hold them: all of a scan of this component alone.
    pub(super) blocks_wide: usize,
    pub(super) blocks_high: usize,
    /// Blocks a row with those that fill up the last MCU.
    pub(super) stride: usize,
    rows: usize,
    /// Samples, `8 * stride` a row.
    pub(super) plane: Vec<u8>,
    /// Coefficients of a progressive frame.
    pub(super) blocks: Vec<Block>,
    /// The lowest bit of each coefficient that has been read (T.81, G.1.1.1), in zigzag order.
    pub(super) bits_read: [Option<u8>; 64],
}

impl Component {
    /// Columns of samples from one row of `plane` to the next.
    pub(super) fn plane_stride(&self) -> usize {
        8 * self.stride
    }

    /// Writes the samples of the block in column `x` and row `y` of blocks.
    #[inline]
    pub(super) fn put_block(&mut self, x: usize, y: usize, samples: &[[u8; 8]; 8]) {
        let stride = self.plane_stride();
        let Some(place) = self.plane.get_mut(8 * (y * stride + x)..) else { return };
        for (row, samples) in place.chunks_mut(stride).zip(samples) {
            if let Some(row) = row.first_chunk_mut() {
                *row = *samples;
            }
        }
    }
}

impl Frame {
    /// `components`: identifier, sampling factors and quantisation table.
    pub(super) fn new(
        process: Process,
        (width, height): (usize, usize),
        components: &[(u8, usize, usize, usize)],
    ) -> Result<Self> {
        if !matches!(components.len(), 1 | 3 | 4) {
            return Err(format!("a JPEG of {} components", components.len()).into());
        }
        let h_max = components.iter().map(|c| c.1).max().unwrap_or(1);
        let v_max = components.iter().map(|c| c.2).max().unwrap_or(1);
        if components.iter().any(|c| h_max % c.1 != 0 || v_max % c.2 != 0) {
            return Err("a JPEG whose sampling factors are no multiples of each other".into());
        }
        let (mcus_wide, mcus_high) = (width.div_ceil(8 * h_max), height.div_ceil(8 * v_max));
        let component = |&(id, h, v, quantization): &(u8, usize, usize, usize)| {
            let (width, height) = ((width * h).div_ceil(h_max), (height * v).div_ceil(v_max));
            Component {
                id,
                h,
                v,
                quantization,
                steps: None,
                width,
                height,
                blocks_wide: width.div_ceil(8),
                blocks_high: height.div_ceil(8),
                stride: mcus_wide * h,
                rows: mcus_high * v,
                plane: Vec::new(),
                blocks: Vec::new(),
                bits_read: [None; 64],
            }
        };
        let components = components.iter().map(component).collect();
        Ok(Self { process, width, height, h_max, v_max, components })
    }

    /// Bytes of the planes, the coefficients and the pixels.
    pub(super) fn memory(&self) -> u64 {
        let a_sample = if self.process == Process::Progressive { 3 } else { 1 };
        let samples: usize = self.components.iter().map(|c| 64 * c.stride * c.rows).sum();
        let channels = if self.components.len() == 1 { 1 } else { 3 };
        (a_sample * samples + channels * self.width * self.height) as u64
    }

    pub(super) fn allocate(&mut self) {
        for component in &mut self.components {
            let blocks = component.stride * component.rows;
            component.plane = vec![0; 64 * blocks];
            if self.process == Process::Progressive {
                component.blocks = vec![[0; 64]; blocks];
            }
        }
    }

    /// MCUs a row and a column of a scan of more than one component.
    pub(super) fn mcus(&self) -> (usize, usize) {
        (self.width.div_ceil(8 * self.h_max), self.height.div_ceil(8 * self.v_max))
    }

    /// Checks that every bit of every coefficient has been read.
    pub(super) fn check_complete(&self) -> Result<()> {
        let complete = self.components.iter().all(|c| c.bits_read.iter().all(|&bits| bits == Some(0)));
        if complete { Ok(()) } else { Err("a JPEG that lacks some of its scans".into()) }
    }

    /// Makes samples of the coefficients of a progressive frame.
    pub(super) fn transform(&mut self) -> Result<()> {
        for component in &mut self.components {
            let (stride, steps) = (component.stride, component.steps.unwrap_or([1; 64]));
            let steps = idct::natural_order(&steps);
            for (at, block) in std::mem::take(&mut component.blocks).iter().enumerate() {
                let mut dequantizer = Dequantizer::default();
                let block = std::array::from_fn(|i| dequantizer.multiply(block[i], steps[i]));
                if !dequantizer.all_in_range() {
                    return Err(BAD_COEFFICIENT);
                }
                component.put_block(at % stride, at / stride, &idct::transform::<8>(&block));
            }
        }
        Ok(())
    }
}
