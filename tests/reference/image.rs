//! Preprocessing against torchvision's.

use crate::support::golden::{Golden, assert_close};
use crate::support::preprocessing::{pixels, preprocess, resize};
use patchcore::Isa;
use patchcore::image::Preprocess;

trials!(
    resizing_is_torchvisions, crop_and_normalisation_are_torchvisions;
    shared: photographs_resize_as_torchvision_does
);

// torchvision computes its weights in f32, which is up to 1.8e-6 from the exact value here.
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

fn crop_and_normalisation_are_torchvisions() {
    let golden = Golden::here("preprocess.safetensors");
    let plan = Preprocess::default().resize((40, 50)).crop(Some((33, 33)));
    for isa in Isa::available() {
        let out = preprocess(&plan, &pixels((23, 37)), (23, 37), isa);
        assert_close("crop", &out, golden.f64("23x37.40x50.crop33"), 3e-6 / 0.22, 0.0);
    }
}

fn photographs_resize_as_torchvision_does() {
    let golden = Golden::shared("preprocess.safetensors");
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
