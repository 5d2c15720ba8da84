//! A meeting point where a caller hands a call to the thread that serves it, and waits. Nothing is allocated:
//! the call stays on its caller's stack. (A thread pool allocates for the calls that it queues.)
//!
//! ```text
//!     caller                              server
//!     try_enter: takes the turn           waits for Offered
//!     Turn::call: Idle/Done -> Offered
//!     waits for Done                      Offered -> Running
//!                                         runs the call
//!     takes the result                    Running -> Done
//!     drops the turn                      waits for Offered
//! ```
//!
//! A caller that finds the turn taken is refused rather than queued: it may have been started by the very
//! call that holds the turn, which would then wait for it forever.

use std::mem::transmute;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};

/// One server, and one caller at a time.
#[derive(Default)]
pub(super) struct Rendezvous {
    /// Held from [`try_enter`](Self::try_enter) until the call is done.
    turn: Mutex<()>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
enum State {
    #[default]
    Idle,
    Offered(Call),
    Running,
    Done,
    Closed,
}

/// A call on its caller's stack.
struct Call(*mut (dyn FnMut() + Send));

// SAFETY: the closure is `Send`, and its caller does not touch it until the call is done.
unsafe impl Send for Call {}

/// The right to make one call.
pub(super) struct Turn<'a> {
    rendezvous: &'a Rendezvous,
    _held: MutexGuard<'a, ()>,
}

impl Turn<'_> {
    /// Runs `work` on the server's thread, waits for it, and passes its panic on.
    pub(super) fn call<R: Send>(self, work: impl FnOnce() -> R + Send) -> R {
        let (mut work, mut result) = (Some(work), None);
        let mut call = || result = work.take().map(|work| catch_unwind(AssertUnwindSafe(work)));
        let call: &mut (dyn FnMut() + Send) = &mut call;
        // SAFETY: only the lifetime is changed. The server follows the pointer between Offered and Done, and
        // this function neither returns nor unwinds in between.
        let call = Call(unsafe { transmute::<&mut (dyn FnMut() + Send), &mut (dyn FnMut() + Send)>(call) });

        self.rendezvous.set(State::Offered(call));
        drop(self.rendezvous.wait(|state| matches!(state, State::Done)));
        match result.expect("the call was served") {
            Ok(result) => result,
            Err(payload) => resume_unwind(payload),
        }
    }
}

impl Rendezvous {
    /// The turn, unless another caller has it.
    pub(super) fn try_enter(&self) -> Option<Turn<'_>> {
        let held = match self.turn.try_lock() {
            Ok(held) => held,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(Turn { rendezvous: self, _held: held })
    }

    /// Runs calls until [`close`](Self::close).
    pub(super) fn serve(&self) {
        loop {
            let mut state = self.wait(|state| matches!(state, State::Offered(_) | State::Closed));
            let State::Offered(Call(call)) = std::mem::replace(&mut *state, State::Running) else { return };
            drop(state);
            // SAFETY: the call was offered and is not done, so its caller waits and nobody else has it. It
            // does not unwind.
            unsafe { (*call)() };
            self.set(State::Done);
        }
    }

    /// Ends [`serve`](Self::serve). No call may follow.
    pub(super) fn close(&self) {
        self.set(State::Closed);
    }

    fn set(&self, state: State) {
        *ignore_poison(self.state.lock()) = state;
        self.changed.notify_all();
    }

    fn wait(&self, until: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let state = ignore_poison(self.state.lock());
        ignore_poison(self.changed.wait_while(state, |state| !until(state)))
    }
}

/// A panic leaves nothing half done behind these locks.
fn ignore_poison<G>(result: Result<G, PoisonError<G>>) -> G {
    result.unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets `callers` run while another thread serves.
    fn served(callers: impl FnOnce(&Rendezvous)) {
        let desk = Rendezvous::default();
        std::thread::scope(|scope| {
            scope.spawn(|| desk.serve());
            callers(&desk);
            desk.close();
        });
    }

    /// Calls as soon as the turn is free.
    fn call<R: Send>(desk: &Rendezvous, work: impl FnOnce() -> R + Send) -> R {
        loop {
            match desk.try_enter() {
                Some(turn) => return turn.call(work),
                None => std::thread::yield_now(),
            }
        }
    }

    #[test]
    fn a_call_runs_elsewhere_and_may_borrow_from_its_caller() {
        served(|desk| {
            let here = std::thread::current().id();
            let mut data = vec![1, 2, 3];
            for _ in 0..100 {
                let sum: i32 = call(desk, || {
                    assert_ne!(std::thread::current().id(), here);
                    data.iter_mut().for_each(|value| *value += 1);
                    data.iter().sum()
                });
                assert_eq!(sum, data.iter().sum::<i32>());
            }
            assert_eq!(data, [101, 102, 103]);
        });
    }

    #[test]
    fn calls_of_several_threads_do_not_overlap() {
        served(|desk| {
            let running = Mutex::new(0);
            std::thread::scope(|scope| {
                for caller in 0..4 {
                    let running = &running;
                    scope.spawn(move || {
                        for i in 0..200 {
                            let answer = call(desk, || {
                                let mut running = running.try_lock().expect("one call at a time");
                                *running += 1;
                                (caller, i)
                            });
                            assert_eq!(answer, (caller, i));
                        }
                    });
                }
            });
            assert_eq!(*running.lock().unwrap(), 800);
        });
    }

    #[test]
    fn a_second_caller_is_refused_while_a_call_is_under_way() {
        served(|desk| {
            let refused =
                call(desk, || std::thread::scope(|s| s.spawn(|| desk.try_enter().is_none()).join()));
            assert!(refused.unwrap());
            assert!(desk.try_enter().is_some());
        });
    }

    #[test]
    fn a_panic_reaches_its_caller_and_the_next_call_is_served() {
        served(|desk| {
            let failing = || call(desk, || -> () { panic!("on purpose") });
            assert!(catch_unwind(AssertUnwindSafe(failing)).is_err());
            assert_eq!(call(desk, || 7), 7);
        });
    }
}
