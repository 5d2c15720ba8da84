//! Hands a call to a thread that waits for calls, without taking memory: what a thread pool queues, it allocates for.

use std::mem::transmute;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Where calls are handed over, one at a time.
#[derive(Default)]
pub(super) struct Rendezvous {
    /// Held by the caller whose call it is.
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

// SAFETY: what it points to is `Send`, and its caller does not touch it before it is done.
unsafe impl Send for Call {}

impl Rendezvous {
    /// Runs `work` on the thread that serves, and waits for it. A panic in it is passed on.
    pub(super) fn call<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        let _turn = ignore_poison(self.turn.lock());
        let (mut work, mut result) = (Some(work), None);
        let mut call = || result = work.take().map(|work| catch_unwind(AssertUnwindSafe(work)));
        let call: &mut (dyn FnMut() + Send) = &mut call;
        // SAFETY: only the lifetime is changed. The call is followed between being offered and being done, and this
        // function neither returns nor unwinds in between.
        let call = Call(unsafe { transmute::<&mut (dyn FnMut() + Send), &mut (dyn FnMut() + Send)>(call) });

        self.set(State::Offered(call));
        drop(self.wait(|state| matches!(state, State::Done)));
        match result.expect("the call was served") {
            Ok(result) => result,
            Err(payload) => resume_unwind(payload),
        }
    }

    /// Runs calls until it is closed.
    pub(super) fn serve(&self) {
        loop {
            let mut state = self.wait(|state| matches!(state, State::Offered(_) | State::Closed));
            let State::Offered(Call(call)) = std::mem::replace(&mut *state, State::Running) else { return };
            drop(state);
            // SAFETY: it was offered and is not done: its caller waits, and nobody else has it. It does not unwind.
            unsafe { (*call)() };
            self.set(State::Done);
        }
    }

    /// Ends `serve`. No call may follow.
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

/// Nothing that a panic leaves half done is behind these locks.
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

    #[test]
    fn a_call_runs_elsewhere_and_may_borrow_from_its_caller() {
        served(|desk| {
            let here = std::thread::current().id();
            let mut data = vec![1, 2, 3];
            for _ in 0..100 {
                let sum: i32 = desk.call(|| {
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
    fn calls_of_several_threads_do_not_meet() {
        served(|desk| {
            let running = Mutex::new(0);
            std::thread::scope(|scope| {
                for caller in 0..4 {
                    let running = &running;
                    scope.spawn(move || {
                        for i in 0..200 {
                            let answer = desk.call(|| {
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
    fn a_panic_reaches_its_caller_and_the_next_call_is_served() {
        served(|desk| {
            let failing = || desk.call(|| -> () { panic!("on purpose") });
            assert!(catch_unwind(AssertUnwindSafe(failing)).is_err());
            assert_eq!(desk.call(|| 7), 7);
        });
    }
}
