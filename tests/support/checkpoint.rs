//! Small checkpoints as the reference writes them.

#![allow(dead_code)] // each test file uses its part

use super::golden::formula;
use super::state_dict::StateDict;
use super::torch::{Py, PyTensor, dict, save, text};
use patchcore::Layer;
use patchcore::anomalib::{Import, ImportOptions};
use std::path::{Path, PathBuf};

/// The parts of a checkpoint that the tests vary.
#[derive(Clone)]
pub struct Parts {
    pub backbone: Py,
    pub layers: Py,
    pub neighbors: Py,
    pub precision: &'static str,
    pub components: Py,
    pub transform: Py,
    pub post_processor: Py,
    pub numbers: Vec<(&'static str, f32)>,
    pub bank: PyTensor,
    pub weights: bool,
    /// Tensors of this layer are left out.
    pub without: Option<Layer>,
}

pub const ROWS: usize = 20;
pub const DIM: usize = 384;

pub fn bank() -> Vec<f32> {
    formula("bank", ROWS * DIM).collect()
}

pub fn transform(class: &str, arguments: Vec<(&str, Py)>) -> Py {
    dict([("class_path", text(format!("torchvision.transforms.v2.{class}"))), ("init_args", dict(arguments))])
}

pub fn size(height: i64, width: i64) -> Py {
    Py::List(vec![Py::Int(height), Py::Int(width)])
}

pub fn resize(size: Py) -> Py {
    let rest = [("interpolation", text("bilinear")), ("max_size", Py::None), ("antialias", Py::Bool(true))];
    transform("Resize", [("size", size)].into_iter().chain(rest).collect())
}

pub fn crop(height: i64, width: i64) -> Py {
    transform("CenterCrop", vec![("size", size(height, width))])
}

pub fn normalize() -> Py {
    let channels = |values: [f64; 3]| Py::List(values.map(Py::Float).to_vec());
    let (mean, std) = (channels([0.485, 0.456, 0.406]), channels([0.229, 0.224, 0.225]));
    transform("Normalize", vec![("mean", mean), ("std", std), ("inplace", Py::Bool(false))])
}

pub fn compose(steps: Vec<Py>) -> Py {
    transform("Compose", vec![("transforms", Py::List(steps))])
}

pub fn post_processor(normalization: bool, thresholding: bool, matching: bool) -> Py {
    dict([
        ("enable_normalization", Py::Bool(normalization)),
        ("enable_thresholding", Py::Bool(thresholding)),
        ("enable_threshold_matching", Py::Bool(matching)),
        ("image_sensitivity", Py::Float(0.5)),
        ("pixel_sensitivity", Py::Float(0.25)),
    ])
}

impl Default for Parts {
    fn default() -> Self {
        let layers = ["layer3", "layer2"].map(text);
        Self {
            backbone: text("resnet18.tv_in1k"),
            layers: Py::Tuple(layers.to_vec()),
            neighbors: Py::Int(5),
            precision: "float32",
            components: dict([("pre_processor", Py::Bool(true)), ("post_processor", Py::Bool(true))]),
            transform: compose(vec![resize(size(72, 96)), crop(64, 80), normalize()]),
            post_processor: post_processor(true, true, true),
            numbers: vec![
                ("_image_threshold", 7.0),
                ("_pixel_threshold", 6.0),
                ("image_min", 5.0),
                ("image_max", 9.0),
                ("pixel_min", 4.0),
                ("pixel_max", 8.0),
            ],
            bank: PyTensor::f32(&[ROWS, DIM], &bank()),
            weights: true,
            without: None,
        }
    }
}

impl Parts {
    pub fn save(&self) -> Vec<u8> {
        let mut state: Vec<(Py, Py)> = Vec::new();
        let mut insert = |name: String, tensor| state.push((text(name), Py::Tensor(tensor)));
        insert("_is_fitted".into(), PyTensor::new("BoolStorage", 1, &[1], vec![1]));
        for (name, value) in &self.numbers {
            insert(format!("post_processor.{name}"), PyTensor::f32(&[], &[*value]));
        }
        insert("model.memory_bank".into(), self.bank.clone());
        if self.weights {
            let without = self.without.map_or("none", Layer::name);
            for (name, tensor) in StateDict::new("resnet18").0.iter() {
                if name.starts_with(without) {
                    continue;
                }
                let name = format!("model.feature_extractor.feature_extractor.{name}");
                insert(name, PyTensor::f32(&tensor.shape, &tensor.data));
            }
        }
        let precision =
            Py::Call(Box::new(Py::Global("anomalib", "PrecisionType")), vec![text(self.precision)]);
        let parameters = dict([
            ("backbone", self.backbone.clone()),
            ("layers", self.layers.clone()),
            ("pre_trained", Py::Bool(true)),
            ("coreset_sampling_ratio", Py::Float(0.1)),
            ("num_neighbors", self.neighbors.clone()),
            ("precision", precision),
        ]);
        save(&dict([
            ("epoch", Py::Int(1)),
            ("state_dict", Py::OrderedDict(state)),
            ("hyper_parameters", parameters),
            ("anomalib_components_enabled", self.components.clone()),
            ("anomalib_pre_processor_config", dict([("transform", self.transform.clone())])),
            ("anomalib_post_processor_config", self.post_processor.clone()),
        ]))
    }

    pub fn open(&self) -> patchcore::Result<Import> {
        self.open_with(&ImportOptions::default())
    }

    pub fn open_with(&self, options: &ImportOptions) -> patchcore::Result<Import> {
        let folder = tempfile::tempdir().unwrap();
        Import::open_with(write(folder.path(), &self.save()), options)
    }

    pub fn error(&self) -> String {
        self.open().expect_err("an error").to_string()
    }
}

pub fn write(folder: &Path, bytes: &[u8]) -> PathBuf {
    let path = folder.join("model.ckpt");
    std::fs::write(&path, bytes).unwrap();
    path
}
