//! The engine's own threads.

use super::rendezvous::Rendezvous;
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// More than any machine has that this is for; bounds what a slip can start.
const MAX_THREADS: usize = 1024;

/// A fixed number of threads that belong to one engine; never the process-wide pool. With one thread none is
/// started and everything runs on the caller's.
pub struct Pool {
    workers: Option<Workers>,
}

/// One of the threads waits for calls: rayon's own queue for calls from outside takes memory every now and then.
struct Workers {
    threads: rayon::ThreadPool,
    calls: Arc<Rendezvous>,
}

impl Workers {
    fn start(threads: usize) -> std::result::Result<Self, rayon::ThreadPoolBuildError> {
        let name = |i| format!("patchcore-{i}");
        let threads = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(name).build()?;
        let calls = Arc::new(Rendezvous::default());
        let served = Arc::clone(&calls);
        threads.spawn(move || served.serve());
        Ok(Self { threads, calls })
    }

    /// Runs `work` on one of the threads, where the parallel calls in it are shared with the others.
    fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        if self.threads.current_thread_index().is_some() { work() } else { self.calls.call(work) }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.calls.close();
    }
}

impl Pool {
    /// The caller's thread alone.
    pub(crate) const SERIAL: Self = Self { workers: None };

    /// A pool of `threads` threads; 0 means one for each core the operating system grants.
    ///
    /// # Errors
    /// There would be more than 1024, or the operating system refuses to start a thread.
    pub fn new(threads: usize) -> Result<Self> {
        let threads = Self::count(threads)?;
        if threads == 1 {
            return Ok(Self::SERIAL);
        }
        let workers = Workers::start(threads).map_err(|e| {
            Error::limit("threads", e, format!("{threads} threads from the operating system"))
        })?;
        Ok(Self { workers: Some(workers) })
    }

    /// The threads that a pool of `threads` would have.
    ///
    /// # Errors
    /// There would be more than 1024.
    pub fn count(threads: usize) -> Result<usize> {
        match threads {
            0 => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
            1..=MAX_THREADS => Ok(threads),
            _ => Err(Error::limit("threads", threads, format!("at most {MAX_THREADS}"))),
        }
    }

    /// Number of threads that work is split over.
    pub fn threads(&self) -> usize {
        self.workers.as_ref().map_or(1, |workers| workers.threads.current_num_threads())
    }

    /// Runs `work` inside the pool, so that the parallel calls in it need no hand-over each.
    pub fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.workers {
            Some(workers) => workers.run(work),
            None => work(),
        }
    }

    /// Calls `task(i)` for each `i` below `tasks`.
    pub fn for_each(&self, tasks: usize, task: impl Fn(usize) + Sync + Send) {
        match &self.workers {
            Some(workers) if tasks > 1 => {
                workers.run(|| (0..tasks).into_par_iter().with_max_len(1).for_each(task))
            }
            _ => (0..tasks).for_each(task),
        }
    }

    /// Splits `data` into chunks of `chunk` values (the last may be shorter) and calls `task(i, chunk_i)` for each.
    pub fn for_each_chunk<T: Send>(
        &self,
        data: &mut [T],
        chunk: usize,
        task: impl Fn(usize, &mut [T]) + Sync + Send,
    ) {
        match &self.workers {
            Some(workers) if data.len() > chunk => workers.run(|| {
                data.par_chunks_mut(chunk).with_max_len(1).enumerate().for_each(|(i, part)| task(i, part));
            }),
            _ => data.chunks_mut(chunk).enumerate().for_each(|(i, part)| task(i, part)),
        }
    }

    /// Calls `task(own, i)` for each `i` below `tasks`, `own` being one of `scratch`, which holds one for each thread (and is
    /// not empty).
    pub(crate) fn for_each_with<S: Send>(
        &self,
        scratch: &mut [S],
        tasks: usize,
        task: impl Fn(&mut S, usize) + Sync + Send,
    ) {
        match &self.workers {
            Some(workers) if tasks > 1 && scratch.len() > 1 => {
                let next = AtomicUsize::new(0);
                let work = |own: &mut S| {
                    let take = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&i| i < tasks);
                    std::iter::from_fn(take).for_each(|i| task(own, i));
                };
                workers.run(|| scratch.par_iter_mut().with_max_len(1).for_each(work));
            }
            _ => (0..tasks).for_each(|i| task(&mut scratch[0], i)),
        }
    }

    /// As [`for_each_chunk`](Self::for_each_chunk) over two slices at once, each with its own chunk length.
    pub(crate) fn for_each_chunk_pair<A: Send, B: Send>(
        &self,
        (a, chunk_a): (&mut [A], usize),
        (b, chunk_b): (&mut [B], usize),
        task: impl Fn(usize, &mut [A], &mut [B]) + Sync + Send,
    ) {
        match &self.workers {
            Some(workers) if a.len() > chunk_a => workers.run(|| {
                let pairs = a.par_chunks_mut(chunk_a).zip(b.par_chunks_mut(chunk_b));
                pairs.with_max_len(1).enumerate().for_each(|(i, (a, b))| task(i, a, b));
            }),
            _ => a
                .chunks_mut(chunk_a)
                .zip(b.chunks_mut(chunk_b))
                .enumerate()
                .for_each(|(i, (a, b))| task(i, a, b)),
        }
    }

    /// As [`for_each_chunk`](Self::for_each_chunk) over three slices of one length at once.
    pub(crate) fn for_each_chunk_triple<T: Send>(
        &self,
        [a, b, c]: [&mut [T]; 3],
        chunk: usize,
        task: impl Fn(usize, [&mut [T]; 3]) + Sync + Send,
    ) {
        match &self.workers {
            Some(workers) if a.len() > chunk => workers.run(|| {
                let parts = (a.par_chunks_mut(chunk), b.par_chunks_mut(chunk), c.par_chunks_mut(chunk));
                parts.into_par_iter().enumerate().for_each(|(i, (a, b, c))| task(i, [a, b, c]));
            }),
            _ => {
                let parts = a.chunks_mut(chunk).zip(b.chunks_mut(chunk)).zip(c.chunks_mut(chunk));
                parts.enumerate().for_each(|(i, ((a, b), c))| task(i, [a, b, c]));
            }
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_numbers_of_threads_are_refused() {
        assert!(Pool::new(MAX_THREADS + 1).is_err());
        assert!(Pool::new(usize::MAX).is_err());
    }

    #[test]
    fn a_panic_in_a_task_reaches_the_caller_and_the_pool_lives_on() {
        for threads in [1, 2, 3] {
            let pool = Pool::new(threads).unwrap();
            let work = || pool.for_each(20, |i| assert_ne!(i, 13, "the thirteenth task"));
            let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_err();
            assert!(payload.downcast_ref::<String>().unwrap().contains("the thirteenth task"));
            let mut data = vec![0; 50];
            pool.for_each_chunk(&mut data, 5, |i, part| part.fill(i + 1));
            assert!(data.iter().all(|&value| value > 0), "{threads} threads");
        }
    }

    #[test]
    fn every_chunk_is_visited_once_at_every_thread_count() {
        for threads in [1, 2, 3] {
            let pool = Pool::new(threads).unwrap();
            assert_eq!(pool.threads(), threads);
            let mut data = vec![0usize; 101];
            pool.for_each_chunk(&mut data, 10, |i, part| part.iter_mut().for_each(|v| *v += i + 1));
            let expected: Vec<usize> = (0..101).map(|i| i / 10 + 1).collect();
            assert_eq!(data, expected);
        }
    }
}
