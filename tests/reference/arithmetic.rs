//! Scores, metrics and labels do not depend on the arithmetic: fast convolution against direct convolution,
//! and every instruction set against the portable kernels. On drawn parts, and on real photographs where
//! there are any.

use crate::support::golden::shared;
use crate::support::{model_bytes, small::options};
use patchcore::evaluate::{Dataset, Evaluation, score_samples};
use patchcore::image::{Limits, Picture};
use patchcore::internals::parts::{Defect, draw};
use patchcore::weights;
use patchcore::{
    Architecture, Backbone, Decision, Isa, Layer, Mode, OpenOptions, PatchCore, SearchKind, Session,
    TrainOptions,
};

trials!(
    scores_of_drawn_parts_are_those_of_direct_convolution, labels_of_drawn_parts_are_the_same_on_every_instruction_set;
    shared:
    metrics_of_real_textures_are_those_of_direct_convolution_to_four_digits,
    labels_of_photographs_are_the_same_on_every_instruction_set
);

fn train(backbone: &Backbone, ratio: f64, photographs: impl Iterator<Item = Picture>) -> Vec<u8> {
    let options = TrainOptions::default().cross_validate(false).coreset_ratio(ratio);
    let model = PatchCore::train(backbone, &options, photographs.map(Ok)).unwrap();
    model_bytes(&model)
}

fn session(file: &[u8], mode: Mode) -> Session {
    let model = OpenOptions::default().mode(mode).open_copy(file).unwrap();
    Session::new(&model, 2).unwrap()
}

fn assert_near(what: &str, fast: f32, reference: f32) {
    let difference = (fast - reference).abs() / reference;
    assert!(difference <= 1e-3, "{what}: {fast} fast, {reference} by direct convolution");
}

fn scores_of_drawn_parts_are_those_of_direct_convolution() {
    let backbone = Backbone::embedded("default").unwrap();
    let file = train(&backbone, 0.02, (0..4).map(|number| draw(None, number, 256).0));
    let [mut fast, mut reference] = [Mode::Fast, Mode::Reference].map(|mode| session(&file, mode));
    let mut differ = false;
    for (number, defect) in (10..).zip([None].into_iter().chain(Defect::ALL.map(Some))) {
        let picture = draw(defect, number, 256).0;
        let [a, b] = [&mut fast, &mut reference].map(|s| s.predict(&picture.frame()).unwrap().score);
        assert_near(&format!("{defect:?}"), a, b);
        differ |= a != b;
    }
    assert!(differ, "both modes ran the same arithmetic");
}

fn evaluate(mut session: Session, dataset: &Dataset) -> Evaluation {
    let (ranked, _) = score_samples(&mut session, &dataset.test, &Limits::default(), &mut || Ok(())).unwrap();
    ranked.evaluate(session.model().calibration())
}

fn metrics_of_real_textures_are_those_of_direct_convolution_to_four_digits() {
    let root = shared("data/mini");
    let tensors = weights::load(&shared("weights/resnet18.safetensors"), &Default::default()).unwrap();
    let backbone = Backbone::from_tensors(&Architecture::named("resnet18").unwrap(), &tensors).unwrap();
    for category in ["brick", "grass", "gravel"] {
        let dataset = Dataset::open(&root, Some(category)).unwrap();
        let photographs = dataset.train.iter().map(|path| Picture::decode(path, &Limits::default()).unwrap());
        let file = train(&backbone, 0.02, photographs);
        let [a, b] = [Mode::Fast, Mode::Reference].map(|mode| evaluate(session(&file, mode), &dataset));
        a.images.iter().zip(&b.images).for_each(|(a, b)| assert_near(category, a.score, b.score));
        let digits = |auroc: Option<f64>| (auroc.unwrap() * 1e4).round();
        assert_eq!(digits(a.image_auroc), digits(b.image_auroc), "{category}, images");
        assert_eq!(digits(a.pixel_auroc), digits(b.pixel_auroc), "{category}, pixels");
    }
}

/// Trains on good pictures and compares scores and labels of others on every instruction set.
fn assert_same_labels(what: &str, good: impl Iterator<Item = Picture>, others: &[Picture]) {
    let mut options = options(SearchKind::Auto);
    options.layers = vec![Layer::Layer2, Layer::Layer3];
    options.preprocess.resize = (96, 96);
    // Six photographs show no rarer one.
    options.false_alarm_rate = 0.2;
    let model = PatchCore::train(&Backbone::embedded("small").unwrap(), &options, good.map(Ok)).unwrap();
    let file = model_bytes(&model);
    let found = |isa| {
        let model = OpenOptions::default().isa(Some(isa)).open_copy(&file).unwrap();
        let mut session = Session::new(&model, 1).unwrap();
        let score = |picture: &Picture| {
            let found = session.predict(&picture.frame()).unwrap();
            (found.score, found.decision)
        };
        others.iter().map(score).collect::<Vec<_>>()
    };
    let expected = found(Isa::PORTABLE);
    assert!(expected.iter().any(|found| found.1 == Decision::Anomalous), "{what}: no defect is found");
    for isa in Isa::available() {
        for (found, expected) in found(isa).iter().zip(&expected) {
            assert!((found.0 - expected.0).abs() <= 1e-3 * expected.0, "{what} {isa:?}");
            assert_eq!(found.1, expected.1, "{what} {isa:?}: {found:?} {expected:?}");
        }
    }
}

fn labels_of_drawn_parts_are_the_same_on_every_instruction_set() {
    let part = |defect, number| draw(defect, number, 192).0;
    let others: Vec<Picture> = (10..)
        .zip([None].into_iter().chain(Defect::ALL.map(Some)))
        .map(|(i, defect)| part(defect, i))
        .collect();
    assert_same_labels("drawn parts", (0..6).map(|number| part(None, number)), &others);
}

fn labels_of_photographs_are_the_same_on_every_instruction_set() {
    let decode = |path: &std::path::PathBuf| Picture::decode(path, &Limits::default()).unwrap();
    for category in ["brick", "grass", "gravel"] {
        let data = Dataset::open(&shared("data/mini"), Some(category)).unwrap();
        let others: Vec<Picture> = data.test.iter().map(|sample| decode(&sample.path)).collect();
        assert_same_labels(category, data.train.iter().map(decode), &others);
    }
}
