//! A model file of any content opens or is refused; one that opens gives a finite answer or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use patchcore::{OpenOptions, Session};
use patchcore_fuzz::photographs::gray_frame;
use patchcore_fuzz::{SIDE, assert_error, mend_model, photograph};

/// What searches in a seed, and the seed.
const SEEDS: [(&str, &[u8]); 4] = [
    ("flat", include_bytes!("../seeds/model/flat")),
    ("pruned", include_bytes!("../seeds/model/pruned")),
    ("pruned", include_bytes!("../seeds/model/half")),
    ("k-d tree", include_bytes!("../seeds/model/kdtree")),
];

/// Seeds of another format would leave the fuzzer at the header.
fn seeds_open() {
    for (search, seed) in SEEDS {
        let mut file = seed.to_vec();
        mend_model(&mut file);
        let model = OpenOptions::default().open_copy(&file).expect("a seed opens");
        assert!(model.info().search().starts_with(search));
    }
}

fuzz_target!(init: seeds_open(), |data: &[u8]| {
    let _ = OpenOptions::default().open_copy(data);
    let mut file = data.to_vec();
    mend_model(&mut file);
    let model = match (OpenOptions::default().verify(false)).open_copy(&file) {
        Ok(model) => model,
        Err(error) => return assert_error(&error),
    };
    // Larger inputs take long, not other ways.
    let (height, width) = model.info().preprocess().output_size();
    if height * width > 128 * 128 {
        return;
    }
    // Its checksums are right: what is left to refuse is the memory bank.
    match OpenOptions::default().open_copy(&file) {
        Ok(model) => assert!(model.memory_bank().iter().all(|value| value.is_finite())),
        Err(error) => assert!(error.to_string().contains("memory bank"), "{error}"),
    }
    let mut session = Session::new(&model, 1).expect("one thread");
    let pixels = photograph(3);
    let frame = gray_frame(SIDE, &pixels);
    if let Ok(found) = session.predict(&frame) {
        assert!(found.score.is_finite() && found.normalized_score.is_none_or(f32::is_finite));
        assert!(session.map().unwrap().iter().all(|value| value.is_finite()));
        assert!(session.score(&frame).expect("it was scored before").is_finite());
    }
});
