//! Frames of every pixel format, and frames that do not fit their buffer.

mod support;

use patchcore::image::{Frame, PixelFormat, Preprocessor};
use patchcore::internals::tensor::ImageTensor;
use patchcore::{Isa, Pool};
use support::golden::assert_close;
use support::preprocessing::{pixels, preprocess, resize};

#[test]
fn every_format_of_the_same_photograph_gives_the_same_input() {
    let rgb = pixels((23, 37));
    let plan = resize((16, 16), true);
    let expected = preprocess(&plan, &rgb, (23, 37), Isa::best());
    let pixel = |f: &dyn Fn(&[u8]) -> Vec<u8>| rgb.chunks(3).flat_map(f).collect::<Vec<u8>>();
    let cases = [
        (PixelFormat::Bgr8, pixel(&|p| vec![p[2], p[1], p[0]])),
        (PixelFormat::Rgba8, pixel(&|p| vec![p[0], p[1], p[2], 9])),
        (PixelFormat::Bgra8, pixel(&|p| vec![p[2], p[1], p[0], 200])),
        (
            PixelFormat::Rgb16,
            pixel(&|p| p.iter().flat_map(|&v| (u16::from(v) * 257).to_ne_bytes()).collect()),
        ),
    ];
    for (format, data) in cases {
        // MemoryBank with a gap of seven bytes between them.
        let row = 37 * format.bytes();
        let padded: Vec<u8> = data.chunks(row).flat_map(|r| r.iter().copied().chain([1; 7])).collect();
        let frame = Frame::new(37, 23, row + 7, format, &padded).unwrap();
        let mut out = ImageTensor::default();
        let mut preprocessor = Preprocessor::new(&plan, Isa::best()).unwrap();
        preprocessor.run(&frame, &Pool::new(1).unwrap(), &mut out);
        let expected: Vec<f64> = expected.iter().map(|&v| v.into()).collect();
        assert_close(&format!("{format:?}"), &out.data, &expected, 1e-6, 0.0);
    }
}

#[test]
fn frames_that_do_not_fit_their_buffer_are_refused() {
    let data = [0; 16 * 16 * 3];
    let new = |width, height, stride| Frame::new(width, height, stride, PixelFormat::Rgb8, &data);
    assert!(new(16, 16, 48).is_ok());
    for (width, height, stride) in
        [(16, 17, 48), (17, 16, 48), (16, 16, 49), (1, 1, 3), (16, 16, usize::MAX), (usize::MAX, 16, 48)]
    {
        assert!(new(width, height, stride).is_err(), "{width}x{height}, {stride}");
    }
}
