//! What a model and a session take, told before a session takes it.

use super::session::Scorer;
use super::{PatchCore, PatchExtractor};
use crate::error::Result;
use crate::image::{Frame, PixelFormat};
use crate::parallel::Pool;
use crate::score::RegionFinder;
use crate::search::Search;

/// Bytes that a model and a session on it take, see [`PatchCore::memory`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryEstimate {
    /// What the model takes, which its sessions share: the network's weights as the kernels want them, and
    /// the model file, unless it is mapped or was opened in place.
    pub model: usize,
    /// What each session takes, once it has predicted.
    pub session: usize,
}

/// Lists and names, too many and too small to count each.
const SMALL: usize = 16 * 1024;
/// What a thread keeps, beside its stack.
const THREAD: usize = 8 * 1024;

impl PatchCore {
    /// What this model takes on the heap, and what a [`Session`](super::Session) of `threads` threads (0: one
    /// for each core) on frames of such a size and format would take, with its map. What this itself
    /// allocates is small and gone when it returns.
    ///
    /// Not counted are the stacks of the threads that a session of more than one starts (2 MiB of addresses
    /// each, of which few are touched), pages of a mapped model file, and what a k-d tree takes.
    ///
    /// # Errors
    /// There would be more than 1024 threads, or a frame cannot be of such a size.
    pub fn memory(
        &self,
        threads: usize,
        width: usize,
        height: usize,
        format: PixelFormat,
    ) -> Result<MemoryEstimate> {
        Frame::check_size(width, height)?;
        let threads = Pool::resolve_threads(threads)?;
        let model = &*self.0;
        let (network, preprocess) = (&model.network, &model.metadata.preprocess);
        let extractor = PatchExtractor::bytes(network, preprocess, (height, width), format, threads)?;
        let (grid, output) = (network.grid(), preprocess.output_size());
        let scorer = Scorer::bytes(
            &model.index,
            grid,
            output,
            model.metadata.neighbors,
            model.roi.as_deref(),
            threads,
        )?;
        let threads = if threads > 1 { threads * THREAD } else { 0 };
        let roi = model.roi.as_ref().map_or(0, |roi| roi.bytes());
        let weights = network.weight_bytes() + self.backbone_bytes();
        Ok(MemoryEstimate {
            model: SMALL + weights + roi + model.index.bytes(),
            session: SMALL + extractor + scorer + RegionFinder::bytes(output) + threads,
        })
    }

    /// The backbone as training keeps it.
    fn backbone_bytes(&self) -> usize {
        self.0.backbone.owned_bytes()
    }
}
