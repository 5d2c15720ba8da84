//! A model file of any content opens or is refused; one that opens gives a finite answer or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use patchcore::image::{Frame, PixelFormat};
use patchcore::{OpenOptions, Session};
use patchcore_fuzz::{SIDE, mend_model, photograph};

fuzz_target!(|data: &[u8]| {
    let _ = OpenOptions::default().open_copy(data);
    let mut file = data.to_vec();
    mend_model(&mut file);
    let Ok(model) = (OpenOptions { verify: false, ..OpenOptions::default() }).open_copy(&file) else {
        return;
    };
    // Larger inputs take long, not other ways.
    let (height, width) = model.information().preprocess().output_size();
    if height * width > 128 * 128 {
        return;
    }
    let mut session = Session::new(&model, 1).expect("one thread");
    let pixels = photograph(3);
    let frame = Frame::new(SIDE, SIDE, SIDE, PixelFormat::Gray8, &pixels).expect("it fits");
    if let Ok(found) = session.predict(&frame) {
        assert!(found.score.is_finite() && found.normalized_score.is_none_or(f32::is_finite));
        assert!(found.map.iter().all(|value| value.is_finite()));
        let score = found.score;
        let alone = session.score(&frame).expect("it was scored before");
        assert!(alone.is_finite() || !score.is_finite());
    }
});
