//! The engine's own threads.

use super::rendezvous::{Rendezvous, Turn};
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Sanity limit on a requested thread count.
const MAX_THREADS: usize = 1024;

/// A fixed number of threads that belong to one engine; the process-wide pool is never used. With one thread
/// none is started, and all work runs on the caller's.
///
/// Several threads may share a pool. While one caller's work is under way, the work of the others runs on
/// their own threads, with the same results.
pub struct Pool {
    workers: Option<Workers>,
}

/// One of the threads serves calls from outside: rayon's own queue for them allocates now and then.
struct Workers {
    threads: rayon::ThreadPool,
    calls: Arc<Rendezvous>,
}

/// The right to run work on the workers.
enum Entry<'a> {
    /// The current thread is one of them.
    Inside,
    Turn(Turn<'a>),
}

impl Entry<'_> {
    /// Runs `work` on one of the workers, where its parallel calls are shared with the others.
    fn run_inside<R: Send>(self, work: impl FnOnce() -> R + Send) -> R {
        match self {
            Entry::Inside => work(),
            Entry::Turn(turn) => turn.call(work),
        }
    }
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

    /// `None` while another caller's work is under way.
    fn enter(&self) -> Option<Entry<'_>> {
        match self.threads.current_thread_index() {
            Some(_) => Some(Entry::Inside),
            None => self.calls.try_enter().map(Entry::Turn),
        }
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

    /// A pool of `threads` threads; 0 means one for each core that the operating system grants.
    ///
    /// # Errors
    /// `threads` is above 1024, or the operating system refuses to start a thread.
    pub fn new(threads: usize) -> Result<Self> {
        let threads = Self::resolve_threads(threads)?;
        if threads == 1 {
            return Ok(Self::SERIAL);
        }
        let workers = Workers::start(threads).map_err(|e| {
            Error::limit("threads", e, format!("{threads} threads from the operating system"))
        })?;
        Ok(Self { workers: Some(workers) })
    }

    /// The number of threads that [`new`](Self::new) would start for `threads`.
    ///
    /// # Errors
    /// `threads` is above 1024.
    pub fn resolve_threads(threads: usize) -> Result<usize> {
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
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match self.enter_if(true) {
            Some(entry) => entry.run_inside(work),
            None => work(),
        }
    }

    /// Calls `task(i)` for each `i` below `tasks`.
    pub fn for_each(&self, tasks: usize, task: impl Fn(usize) + Sync + Send) {
        match self.enter_if(tasks > 1) {
            Some(entry) => {
                entry.run_inside(|| (0..tasks).into_par_iter().with_max_len(1).for_each(task));
            }
            None => (0..tasks).for_each(task),
        }
    }

    /// Splits `data` into chunks of `chunk` values (the last may be shorter) and calls `task(i, chunk_i)` for
    /// each.
    pub fn for_each_chunk<T: Send>(
        &self,
        data: &mut [T],
        chunk: usize,
        task: impl Fn(usize, &mut [T]) + Sync + Send,
    ) {
        match self.enter_if(data.len() > chunk) {
            Some(entry) => entry.run_inside(|| {
                data.par_chunks_mut(chunk).with_max_len(1).enumerate().for_each(|(i, part)| task(i, part));
            }),
            None => data.chunks_mut(chunk).enumerate().for_each(|(i, part)| task(i, part)),
        }
    }

    /// Calls `task(own, i)` for each `i` below `tasks`, where `own` is one element of `per_thread`, used by
    /// one thread at a time. `per_thread` has at least one element, and one for each thread that is to work.
    pub(crate) fn for_each_with<S: Send>(
        &self,
        per_thread: &mut [S],
        tasks: usize,
        task: impl Fn(&mut S, usize) + Sync + Send,
    ) {
        match self.enter_if(tasks > 1 && per_thread.len() > 1) {
            Some(entry) => {
                let next = AtomicUsize::new(0);
                let work = |own: &mut S| {
                    let take = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&i| i < tasks);
                    std::iter::from_fn(take).for_each(|i| task(own, i));
                };
                entry.run_inside(|| per_thread.par_iter_mut().with_max_len(1).for_each(work));
            }
            None => (0..tasks).for_each(|i| task(&mut per_thread[0], i)),
        }
    }

    /// As [`for_each_chunk`](Self::for_each_chunk) over two slices at once, each with its own chunk length.
    pub(crate) fn for_each_chunk_pair<A: Send, B: Send>(
        &self,
        (a, chunk_a): (&mut [A], usize),
        (b, chunk_b): (&mut [B], usize),
        task: impl Fn(usize, &mut [A], &mut [B]) + Sync + Send,
    ) {
        match self.enter_if(a.len() > chunk_a) {
            Some(entry) => entry.run_inside(|| {
                let pairs = a.par_chunks_mut(chunk_a).zip(b.par_chunks_mut(chunk_b));
                pairs.with_max_len(1).enumerate().for_each(|(i, (a, b))| task(i, a, b));
            }),
            None => a
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
        match self.enter_if(a.len() > chunk) {
            Some(entry) => entry.run_inside(|| {
                let parts = (a.par_chunks_mut(chunk), b.par_chunks_mut(chunk), c.par_chunks_mut(chunk));
                parts.into_par_iter().enumerate().for_each(|(i, (a, b, c))| task(i, [a, b, c]));
            }),
            None => {
                let parts = a.chunks_mut(chunk).zip(b.chunks_mut(chunk)).zip(c.chunks_mut(chunk));
                parts.enumerate().for_each(|(i, ((a, b), c))| task(i, [a, b, c]));
            }
        }
    }

    /// The right to use the workers, where there are any, they are free, and the work is `worthwhile`.
    /// Without it, the work runs on the current thread.
    fn enter_if(&self, worthwhile: bool) -> Option<Entry<'_>> {
        self.workers.as_ref().filter(|_| worthwhile).and_then(Workers::enter)
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

    /// Runs `work` on a thread of its own, and fails if it is not done in time.
    fn finishes_in_time(work: impl FnOnce() + Send + 'static) {
        let (done, wait) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            work();
            done.send(())
        });
        wait.recv_timeout(std::time::Duration::from_secs(60)).expect("the work ends");
    }

    #[test]
    fn threads_that_the_work_starts_may_use_the_pool() {
        finishes_in_time(|| {
            let pool = Pool::new(2).unwrap();
            let mut data = vec![0; 100];
            pool.install(|| {
                let fill = || pool.for_each_chunk(&mut data, 10, |i, part| part.fill(i + 1));
                std::thread::scope(|scope| scope.spawn(|| pool.install(fill)).join().unwrap());
            });
            assert!(data.iter().enumerate().all(|(at, &value)| value == at / 10 + 1));
        });
    }

    #[test]
    fn callers_on_several_threads_do_all_their_work() {
        finishes_in_time(|| {
            let pool = Pool::new(2).unwrap();
            let done = AtomicUsize::new(0);
            let count_task = |_| {
                done.fetch_add(1, Ordering::Relaxed);
            };
            let work = || (0..100).for_each(|_| pool.for_each(5, count_task));
            std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
            assert_eq!(done.into_inner(), 4 * 100 * 5);
        });
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
