//! A photograph of any content is scored or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use patchcore::Session;
use patchcore::image::{Limits, Picture};
use patchcore::{Precision, SearchKind};
use patchcore_fuzz::small_model;
use std::cell::RefCell;
use std::panic::{self, Location};

thread_local! {
    static SESSION: RefCell<Session> =
        RefCell::new(Session::new(&small_model(SearchKind::Flat, Precision::Single, 0.05), 1).expect("one thread"));
}

/// A panic of a decoder, which is a crate of the registry, is caught where it is called; what is not caught ends the fuzzer.
fn let_decoders_panic() {
    let end = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let of_decoder = |location: &Location<'_>| location.file().contains("/registry/");
        if !panic.location().is_some_and(of_decoder) {
            end(panic);
        }
    }));
}

fuzz_target!(init: let_decoders_panic(), |data: &[u8]| {
    let limits = Limits::default().max_pixels(1 << 18).max_bytes(8 << 20);
    let Ok(picture) = Picture::decode_bytes("p.png", data, &limits) else { return };
    assert!(picture.width() * picture.height() <= 1 << 18);
    SESSION.with_borrow_mut(|session| {
        let found = session.predict(&picture.frame()).expect("every picture is scored");
        assert!(found.score.is_finite() && session.map().unwrap().iter().all(|value| value.is_finite()));
    });
});
