//! Decoding one photograph while another is looked at.

use patchcore::Result;
use patchcore::image::{DecodeOptions, Photograph};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

/// A decoded photograph, and the time that decoding took.
pub struct Decoded {
    pub photograph: Photograph,
    pub time: Duration,
}

impl Decoded {
    fn decode(path: &Path, options: &DecodeOptions) -> Result<Self> {
        let start = Instant::now();
        Ok(Self { photograph: Photograph::decode(path, options)?, time: start.elapsed() })
    }
}

/// Decodes `paths` one after the other, and gives each to `take`, until that breaks. With more than one
/// thread the next photograph is decoded in the meantime.
///
/// # Errors
/// That of `take`, which ends the work.
pub fn for_each_decoded(
    paths: &[PathBuf],
    options: &DecodeOptions,
    threads: usize,
    mut take: impl FnMut(&Path, Result<Decoded>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    if threads == 1 || paths.len() == 1 {
        for path in paths {
            if take(path, Decoded::decode(path, options))?.is_break() {
                break;
            }
        }
        return Ok(());
    }
    thread::scope(|scope| {
        // Without room for a second one: at most two decoded photographs are in memory.
        let (sender, receiver) = sync_channel(0);
        scope.spawn(move || {
            for path in paths {
                // Nobody receives any more once `take` has ended the work.
                if sender.send(Decoded::decode(path, options)).is_err() {
                    break;
                }
            }
        });
        for (path, decoded) in paths.iter().zip(receiver) {
            if take(path, decoded)?.is_break() {
                break;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use patchcore::Error;

    /// Grey photographs of sides 8, 9, 10 and so on, one of which is missing.
    fn photographs(folder: &Path) -> Vec<PathBuf> {
        let save = |side: usize| {
            let path = folder.join(format!("{side}.png"));
            if side != 11 {
                let pixels = vec![side as u8; 3 * side * side];
                patchcore::image::Picture::from_rgb(side, side, pixels).unwrap().save_png(&path).unwrap();
            }
            path
        };
        (8..20).map(save).collect()
    }

    #[test]
    fn all_are_given_in_their_order_and_errors_in_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let paths = photographs(folder.path());
        for threads in [0, 1, 2] {
            let mut seen = Vec::new();
            let take = |path: &Path, decoded: Result<Decoded>| {
                seen.push((path.to_owned(), decoded.ok().map(|decoded| decoded.photograph.picture.width())));
                Ok(ControlFlow::Continue(()))
            };
            for_each_decoded(&paths, &DecodeOptions::default(), threads, take).unwrap();
            let widths = (8..20).map(|side| (side != 11).then_some(side));
            assert!(seen.into_iter().eq(paths.iter().cloned().zip(widths)), "{threads}");
        }
    }

    #[test]
    fn it_ends_when_nobody_wants_more() {
        let folder = tempfile::tempdir().unwrap();
        let paths = photographs(folder.path());
        for threads in [1, 2] {
            let mut taken = 0;
            let mut take = |_: &Path, _: Result<Decoded>| {
                taken += 1;
                Ok(if taken == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            };
            for_each_decoded(&paths, &DecodeOptions::default(), threads, &mut take).unwrap();
            let fail = |_: &Path, _: Result<Decoded>| Err(Error::cancelled("test"));
            assert!(for_each_decoded(&paths, &DecodeOptions::default(), threads, fail).is_err());
            assert_eq!(taken, 3, "{threads}");
        }
    }
}
