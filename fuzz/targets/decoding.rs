//! A file of any content is decoded or refused, in every kind of photograph and with every option. The first
//! byte chooses the options.
#![no_main]

use libfuzzer_sys::fuzz_target;
use patchcore::image::{DecodeOptions, Limits, Orientation, Photograph};
use patchcore_fuzz::{assert_error, let_other_decoders_panic};

fuzz_target!(init: let_other_decoders_panic(), |data: &[u8]| {
    let Some((&choice, file)) = data.split_first() else { return };
    let options = DecodeOptions::default()
        .limits(Limits::default().max_pixels(1 << 18).max_bytes(8 << 20))
        .orientation(if choice & 1 == 0 { Orientation::Exif } else { Orientation::Ignore })
        .bit_depth((choice & 2 != 0).then_some(9 + (choice >> 5)));
    match Photograph::decode_bytes("photograph", file, &options) {
        Ok(found) => {
            let picture = found.picture;
            let pixels = picture.width() * picture.height();
            assert!(pixels <= 1 << 18);
            assert_eq!(picture.data().len(), pixels * picture.format().bytes());
            assert!((1..=8).contains(&found.orientation) && found.pages > 0);
        }
        Err(error) => assert_error(&error),
    }
});
