//! What fast convolution changes of scores and metrics, against direct convolution.

#![cfg(feature = "embedded-default")]

mod support;

use patchcore::evaluate::{Dataset, Evaluation, score_samples};
use patchcore::image::{Limits, Picture};
use patchcore::internals::parts::{Defect, draw};
use patchcore::{Architecture, Mode};
use patchcore::{Backbone, OpenOptions, PatchCore, Session, TrainOptions, weights};

fn train(backbone: &Backbone, ratio: f64, photographs: impl Iterator<Item = Picture>) -> Vec<u8> {
    let options = TrainOptions::default().cross_validate(false).coreset_ratio(ratio);
    let model = PatchCore::train(backbone, &options, photographs.map(Ok)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pcore");
    model.save(&path).unwrap();
    std::fs::read(path).unwrap()
}

fn session(file: &[u8], mode: Mode) -> Session {
    let model = OpenOptions::default().mode(mode).open_copy(file).unwrap();
    Session::new(&model, 2).unwrap()
}

fn assert_near(what: &str, fast: f32, reference: f32) {
    let difference = (fast - reference).abs() / reference;
    assert!(difference <= 1e-3, "{what}: {fast} fast, {reference} by direct convolution");
}

#[test]
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

#[test]
fn metrics_of_real_textures_are_those_of_direct_convolution_to_four_digits() {
    let (Some(root), Some(file)) =
        (support::beside("data/mini"), support::beside("weights/resnet18.safetensors"))
    else {
        return;
    };
    let tensors = weights::load(&file, &Default::default()).unwrap();
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
