//! Preprocessing against torchvision's.

mod support;

use patchcore::Isa;
use patchcore::Pool;
use patchcore::image::{Frame, PixelFormat, Preprocess, Preprocessor};
use patchcore::internals::tensor::ImageTensor;
use support::golden::{Golden, assert_close, beside, formula};

fn preprocess(plan: &Preprocess, pixels: &[u8], (height, width): (usize, usize), isa: Isa) -> Vec<f32> {
    let frame = Frame::new(width, height, width * 3, PixelFormat::Rgb8, pixels).unwrap();
    let mut out = ImageTensor::default();
    Preprocessor::new(plan, isa).unwrap().run(&frame, &Pool::new(2).unwrap(), &mut out);
    assert_eq!((out.height, out.width), plan.output_size());
    out.data
}

/// Resizing alone, in [0, 1].
fn resize(size: (usize, usize), antialias: bool) -> Preprocess {
    Preprocess::default().resize(size).crop(None).antialias(antialias).mean([0.0; 3]).std([1.0; 3])
}

fn pixels((height, width): (usize, usize)) -> Vec<u8> {
    formula("image", height * width * 3).map(|u| (256.0 * u) as u8).collect()
}

// torchvision computes its weights in f32, which is up to 1.8e-6 from the exact value here.
#[test]
fn resizing_is_torchvisions() {
    let golden = Golden::here("preprocess.safetensors");
    for (source, size) in
        [((23, 37), (16, 16)), ((23, 37), (40, 50)), ((23, 37), (30, 20)), ((64, 48), (32, 32))]
    {
        for (kind, antialias) in [("antialias", true), ("plain", false)] {
            let name = format!("{}x{}.{}x{}.{kind}", source.0, source.1, size.0, size.1);
            for isa in Isa::available() {
                let out = preprocess(&resize(size, antialias), &pixels(source), source, isa);
                assert_close(&format!("{name} with {isa:?}"), &out, golden.f64(&name), 3e-6, 0.0);
            }
        }
    }
}

#[test]
fn crop_and_normalisation_are_torchvisions() {
    let golden = Golden::here("preprocess.safetensors");
    let plan = Preprocess::default().resize((40, 50)).crop(Some((33, 33)));
    for isa in Isa::available() {
        let out = preprocess(&plan, &pixels((23, 37)), (23, 37), isa);
        assert_close("crop", &out, golden.f64("23x37.40x50.crop33"), 3e-6 / 0.22, 0.0);
    }
}

#[test]
fn photographs_resize_as_torchvision_does() {
    let Some(golden) = Golden::beside("preprocess.safetensors") else { return };
    assert!(beside("golden").is_some());
    for name in ["brick_gray_512", "chelsea_300x451", "coffee_400x600", "exact_256", "small_77x53"] {
        let shape = golden.shape(&format!("{name}.u8_hwc"));
        let size = (shape[0], shape[1]);
        let pixels: Vec<u8> = golden.f64(&format!("{name}.u8_hwc")).iter().map(|&v| v as u8).collect();
        for isa in Isa::available() {
            let out = preprocess(&resize((256, 256), true), &pixels, size, isa);
            assert_close(name, &out, golden.f64(&format!("{name}.resized")), 2e-5, 0.0);
            let cropped = Preprocess::default().crop(Some((224, 224)));
            let out = preprocess(&cropped, &pixels, size, isa);
            assert_close(name, &out, golden.f64(&format!("{name}.crop224")), 1e-4, 0.0);
        }
    }
}

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
