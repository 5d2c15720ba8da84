//! Writes the seed corpora to `fuzz/seeds`, from the library itself.

use image::{ExtendedColorType, GrayImage, ImageEncoder, ImageFormat, RgbImage, Rgba, RgbaImage};
use patchcore::Isa;
use patchcore::Pool;
use patchcore::internals::model_file::sections::SectionWriter;
use patchcore::internals::npy;
use patchcore::internals::search::{Index, MemoryBank, Precision, SearchKind};
use patchcore_fuzz::torch::{Py, PyTensor, dict, save, save_legacy, state_dict, text};
use patchcore_fuzz::{SIDE, photograph, small_model};
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// Values a row of the long bank: few, so that the file is short.
const LONG_DIM: usize = 1;

/// What a search chooses first, in the order of its choices: many rows in clusters, most of them apart.
const SEARCHES: [[u8; 15]; 4] = [
    [2, 2, 30, 3, 232, 39, 4, 0, 0, 0, 0, 3, 19, 5, 1],
    [3, 2, 9, 2, 100, 39, 8, 1, 1, 0, 2, 2, 9, 20, 1],
    [4, 2, 20, 3, 232, 35, 0, 0, 2, 3, 0, 4, 39, 30, 1],
    [5, 1, 150, 0, 200, 39, 5, 0, 0, 0, 0, 3, 4, 0, 40],
];

/// One in so many photographs of the grid is a seed.
const GRID_STEP: usize = 9;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let write = |target: &str, name: &str, bytes: &[u8]| {
        std::fs::create_dir_all(folder.join(target)).unwrap();
        std::fs::write(folder.join(target).join(name), bytes).unwrap();
    };
    for (name, search, precision) in [
        ("flat", SearchKind::Flat, Precision::Single),
        ("pruned", SearchKind::Pruned, Precision::Single),
        ("kdtree", SearchKind::KdTree, Precision::Single),
        ("half", SearchKind::Pruned, Precision::Half),
    ] {
        let bytes = model(search, precision);
        write("model", name, &bytes);
        write("index", name, &[&[32, 3, 0][..], &bytes].concat());
    }
    let tensors = [
        ("a.weight", PyTensor::f32(&[2, 3], &[1.0, -2.0, 3.0, 0.5, 0.0, 7.0])),
        ("module.b", PyTensor { shape: vec![2, 2], strides: vec![1, 2], ..PyTensor::f32(&[5], &[1.0; 5]) }),
        ("n", PyTensor::new("LongStorage", 8, &[], vec![3; 8])),
        ("h", PyTensor::new("HalfStorage", 2, &[4], vec![60; 8])),
        ("c", PyTensor::new("BFloat16Storage", 2, &[1], vec![1, 2])),
        ("t", PyTensor::new("BoolStorage", 1, &[2], vec![0, 1])),
    ];
    write("pth", "zip", &save(&state_dict(tensors.clone())));
    write("pth", "legacy", &save_legacy(&dict([("state_dict", state_dict(tensors.clone()))])));
    write("pth", "beside", &save(&dict([("model", state_dict(tensors)), ("beside", plain_data())])));
    for (name, header) in safetensors() {
        write("safetensors", name, &[header.as_bytes(), &[63; 24]].concat());
    }
    write("ckpt", "narrow", &checkpoint("resnet18_narrow", true));
    write("ckpt", "bare", &checkpoint("resnet18", false));
    for (name, bytes) in arrays() {
        write("npy", name, &bytes);
    }
    for (name, bytes) in photographs() {
        write("photograph", &name, &bytes);
    }
    for (number, record) in patchcore_fuzz::grid::read().iter().enumerate().step_by(GRID_STEP) {
        write("decoding", &number.to_string(), &[&[0][..], &record.file].concat());
    }
    write("index", "long", &[&[LONG_DIM as u8, 3, 0][..], &long_index()].concat());
    for (seed, search) in (0..).zip(SEARCHES) {
        write("capi", &seed.to_string(), &choices(seed));
        write("kernels", &seed.to_string(), &choices(seed));
        write("search", &seed.to_string(), &[&search[..], &choices(seed)].concat());
    }
}

/// Bytes that choices follow from; the fuzzer finds its own.
fn choices(seed: u8) -> Vec<u8> {
    (0..200u8).map(|i| i.wrapping_mul(37).wrapping_add(seed.wrapping_mul(91))).collect()
}

/// The sections of a search of more rows than a chunk of its sweep has.
fn long_index() -> Vec<u8> {
    let values: Vec<f32> = (0..1056 * LONG_DIM).map(|i| (i as f32 * 0.7).sin() + (i % 5) as f32).collect();
    let rows = MemoryBank::half(&values, LONG_DIM).unwrap();
    let pool = Pool::new(1).unwrap();
    let index = Index::build(rows, SearchKind::Pruned, Isa::PORTABLE, &pool).unwrap();
    let mut writer = SectionWriter::default();
    index.write(&mut writer);
    let mut file = Vec::new();
    writer.write_to(&mut file).unwrap();
    file
}

fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("patchcore-seeds-{}-{name}", std::process::id()))
}

fn take(path: PathBuf) -> Vec<u8> {
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    bytes
}

fn model(search: SearchKind, precision: Precision) -> Vec<u8> {
    let path = temporary("model");
    small_model(search, precision, 0.05).save(&path).unwrap();
    take(path)
}

fn safetensors() -> [(&'static str, String); 2] {
    let entry = |name: &str, dtype: &str, shape: &str, from: usize, to: usize| {
        format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    let metadata = r#""__metadata__":{"format":"pt"}"#;
    [
        ("one", format!("{{{metadata},{}}}", entry("a", "F32", "[2,3]", 0, 24))),
        (
            "many",
            format!(
                "{{{},{},{},{},{}}}",
                entry("module.a", "F16", "[2]", 0, 4),
                entry("b", "BF16", "[2,1]", 4, 8),
                entry("c", "I64", "[]", 8, 16),
                entry("d", "F64", "[1]", 16, 24),
                entry("e", "U8", "[3]", 0, 3),
            ),
        ),
    ]
}

/// What people keep beside weights.
fn plain_data() -> Py {
    let call = |module, name, argument| Py::Call(Box::new(Py::Global(module, name)), vec![argument]);
    let numbers = vec![Py::Int(1), Py::Int(2)];
    Py::List(vec![
        call("__builtin__", "set", Py::List(numbers.clone())),
        call("torch", "Size", Py::Tuple(numbers)),
        call("collections", "defaultdict", Py::Global("__builtin__", "int")),
        Py::Global("torch", "float32"),
    ])
}

/// The pickle of a checkpoint, as the target `ckpt` takes it: its tensors are views of two storages that lie
/// ready.
fn checkpoint(network: &str, whole: bool) -> Vec<u8> {
    // Views of shared storages: the writer gives each tensor its own, so that the keys are put in place by
    // hand.
    let mut state: Vec<(String, Vec<usize>)> = vec![("model.memory_bank".into(), vec![5, 32])];
    for kind in ["image", "pixel"] {
        for name in ["min", "max"] {
            state.push((format!("post_processor.{kind}_{name}"), vec![]));
        }
        state.push((format!("post_processor._{kind}_threshold"), vec![]));
    }
    let mut convolution = |conv: String, norm: String, shape: [usize; 4]| {
        let prefix = "model.feature_extractor.feature_extractor.";
        state.push((format!("{prefix}{conv}.weight"), shape.to_vec()));
        for part in ["weight", "bias", "running_mean", "running_var"] {
            state.push((format!("{prefix}{norm}.{part}"), vec![shape[0]]));
        }
    };
    if whole {
        convolution("conv1".into(), "bn1".into(), [32, 3, 5, 5]);
        let mut input = 32;
        for (stage, output) in (1..).zip([32, 64, 128]) {
            for block in 0..if stage == 1 { 1 } else { 2 } {
                let name = format!("layer{stage}.{block}.");
                convolution(format!("{name}conv1"), format!("{name}bn1"), [output, input, 3, 3]);
                convolution(format!("{name}conv2"), format!("{name}bn2"), [output, output, 3, 3]);
                if input != output {
                    convolution(
                        format!("{name}downsample.0"),
                        format!("{name}downsample.1"),
                        [output, input, 1, 1],
                    );
                }
                input = output;
            }
        }
    }
    let entries = state.into_iter().map(|(name, shape)| (text(name), tensor(&shape))).collect();
    let step = |class: &str, arguments| {
        dict([
            ("class_path", text(format!("torchvision.transforms.v2.{class}"))),
            ("init_args", dict(arguments)),
        ])
    };
    let size = |side| Py::List(vec![Py::Int(side), Py::Int(side)]);
    let channels = |value| Py::List(vec![Py::Float(value); 3]);
    let steps = vec![
        step(
            "Resize",
            vec![
                ("size", size(SIDE as i64)),
                ("interpolation", text("bilinear")),
                ("antialias", Py::Bool(true)),
            ],
        ),
        step("CenterCrop", vec![("size", size(SIDE as i64))]),
        step("Normalize", vec![("mean", channels(0.45)), ("std", channels(0.25))]),
    ];
    let precision = Py::Call(Box::new(Py::Global("anomalib", "PrecisionType")), vec![text("float32")]);
    let value = dict([
        ("state_dict", Py::OrderedDict(entries)),
        (
            "hyper_parameters",
            dict([
                ("backbone", text(format!("{network}.tv_in1k"))),
                ("layers", Py::List(vec![text("layer1")])),
                ("coreset_sampling_ratio", Py::Float(0.1)),
                ("num_neighbors", Py::Int(3)),
                ("precision", precision),
            ]),
        ),
        (
            "anomalib_components_enabled",
            dict([("pre_processor", Py::Bool(true)), ("post_processor", Py::Bool(true))]),
        ),
        (
            "anomalib_pre_processor_config",
            dict([("transform", step("Compose", vec![("transforms", Py::List(steps))]))]),
        ),
        (
            "anomalib_post_processor_config",
            dict([
                ("enable_normalization", Py::Bool(true)),
                ("enable_thresholding", Py::Bool(true)),
                ("enable_threshold_matching", Py::Bool(true)),
                ("image_sensitivity", Py::Float(0.5)),
                ("pixel_sensitivity", Py::Float(0.5)),
            ]),
        ),
    ]);
    pickle_of(&value)
}

/// A tensor as the call that makes it, of the storage "0" or, where it is small, "1".
fn tensor(shape: &[usize]) -> Py {
    let count: usize = shape.iter().product();
    let (key, length) = if count > 640 { ("0", 200_000) } else { ("1", 640) };
    let strides: Vec<Py> =
        (0..shape.len()).map(|i| Py::Int(shape[i + 1..].iter().product::<usize>() as i64)).collect();
    let id = vec![
        text("storage"),
        Py::Global("torch", "FloatStorage"),
        text(key),
        text("cpu"),
        Py::Int(length),
        Py::None,
    ];
    Py::Call(
        Box::new(Py::Global("torch._utils", "_rebuild_tensor_v2")),
        vec![
            Py::Persistent(id),
            Py::Int(0),
            Py::Tuple(shape.iter().map(|&side| Py::Int(side as i64)).collect()),
            Py::Tuple(strides),
            Py::Bool(false),
            Py::Call(Box::new(Py::Global("collections", "OrderedDict")), Vec::new()),
        ],
    )
}

/// The pickle of `value` alone: what stands between the first two pickles and the empty list of keys.
fn pickle_of(value: &Py) -> Vec<u8> {
    let (empty, whole) = (save_legacy(&Py::None), save_legacy(value));
    let start = empty.len() - 4 - 8;
    whole[start..whole.len() - 8].to_vec()
}

fn arrays() -> Vec<(&'static str, Vec<u8>)> {
    let path = temporary("array");
    let mut all = Vec::new();
    for (name, shape) in [("row", vec![6]), ("matrix", vec![2, 3]), ("images", vec![1, 2, 3])] {
        npy::write(&path, &shape, &[1.0f32, -2.0, 0.0, 3.0, 1e30, -1e-30]).unwrap();
        all.push((name, take(path.clone())));
    }
    for (name, descr, size) in [("double", "<f8", 8), ("half", "<f2", 2)] {
        let text = String::from_utf8_lossy(&all[1].1[..128]).into_owned();
        // Latin-1, as the first byte of the magic is no UTF-8.
        let mut bytes = all[1].1[..10].to_vec();
        bytes.extend(text.chars().skip(10).collect::<String>().replace("<f4", descr).bytes());
        bytes.extend(vec![60; 6 * size]);
        all.push((name, bytes));
    }
    all
}

fn photographs() -> Vec<(String, Vec<u8>)> {
    let gray = GrayImage::from_raw(SIDE as u32, SIDE as u32, photograph(1)).unwrap();
    let small = image::imageops::thumbnail(&gray, 12, 9);
    let rgb = RgbImage::from_fn(12, 9, |x, y| image::Rgb([x as u8 * 20, y as u8 * 25, 90]));
    let rgba = RgbaImage::from_fn(12, 9, |x, y| Rgba([x as u8, y as u8, 9, 100]));
    let mut all = Vec::new();
    let mut add = |name: &str, format: ImageFormat, image: image::DynamicImage| {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        all.push((format!("{name}.{}", format.extensions_str()[0]), bytes.into_inner()));
    };
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Bmp, ImageFormat::Tiff] {
        add("gray", format, small.clone().into());
        add("rgb", format, rgb.clone().into());
    }
    for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Tiff] {
        add("rgba", format, rgba.clone().into());
    }
    for format in [ImageFormat::Png, ImageFormat::Tiff] {
        add("gray16", format, image::DynamicImage::from(small.clone()).into_luma16().into());
        add("rgb16", format, image::DynamicImage::from(rgb.clone()).into_rgb16().into());
    }
    let mut rotated = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new(&mut rotated);
    // A TIFF header with the one entry "orientation: 6".
    let exif = [&b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"[..]].concat();
    encoder.set_exif_metadata(exif).unwrap();
    encoder.write_image(rgb.as_raw(), 12, 9, ExtendedColorType::Rgb8).unwrap();
    all.push(("rotated.jpg".into(), rotated));
    all
}
