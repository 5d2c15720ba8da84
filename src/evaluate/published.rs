//! The figures that the reference publishes for MVTec AD (anomalib, `models/image/patchcore/README.md`, seed
//! 42).

/// The categories of MVTec AD in the order of the published tables.
pub(super) const CATEGORIES: [&str; 15] = [
    "carpet",
    "grid",
    "leather",
    "tile",
    "wood",
    "bottle",
    "cable",
    "capsule",
    "hazelnut",
    "metal_nut",
    "pill",
    "screw",
    "toothbrush",
    "transistor",
    "zipper",
];

/// What the three tables show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metric {
    ImageAuroc,
    PixelAuroc,
    ImageF1,
}

impl Metric {
    pub const ALL: [Self; 3] = [Self::ImageAuroc, Self::PixelAuroc, Self::ImageF1];

    /// The name of the field in JSON and CSV.
    pub fn key(self) -> &'static str {
        match self {
            Self::ImageAuroc => "image_auroc",
            Self::PixelAuroc => "pixel_auroc",
            Self::ImageF1 => "image_f1_max",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::ImageAuroc => "Image-level AUROC",
            Self::PixelAuroc => "Pixel-level AUROC",
            Self::ImageF1 => "Image F1",
        }
    }
}

/// The published figure of `net` for `category`, if there is one.
pub(super) fn published(net: &str, metric: Metric, category: &str) -> Option<f64> {
    let column = CATEGORIES.iter().position(|&known| known == category)?;
    row(net, metric)?.get(column).copied()
}

#[rustfmt::skip]
fn row(net: &str, metric: Metric) -> Option<[f64; 15]> {
    Some(match (net, metric) {
        ("wide_resnet50_2", Metric::ImageAuroc) =>
            [0.984, 0.959, 1.000, 1.000, 0.989, 1.000, 0.990, 0.982, 1.000, 0.994, 0.924, 0.960, 0.933, 1.000, 0.982],
        ("resnet18", Metric::ImageAuroc) =>
            [0.970, 0.947, 1.000, 0.997, 0.997, 1.000, 0.986, 0.965, 1.000, 0.991, 0.916, 0.943, 0.931, 0.996, 0.953],
        ("wide_resnet50_2", Metric::PixelAuroc) =>
            [0.988, 0.968, 0.991, 0.961, 0.934, 0.984, 0.988, 0.988, 0.987, 0.989, 0.980, 0.989, 0.988, 0.981, 0.983],
        ("resnet18", Metric::PixelAuroc) =>
            [0.986, 0.955, 0.990, 0.943, 0.933, 0.981, 0.984, 0.986, 0.986, 0.986, 0.974, 0.991, 0.988, 0.974, 0.983],
        ("wide_resnet50_2", Metric::ImageF1) =>
            [0.971, 0.974, 1.000, 1.000, 0.967, 1.000, 0.968, 0.982, 1.000, 0.984, 0.940, 0.943, 0.938, 1.000, 0.979],
        ("resnet18", Metric::ImageF1) =>
            [0.949, 0.946, 1.000, 0.982, 0.992, 1.000, 0.978, 0.969, 1.000, 0.989, 0.940, 0.932, 0.935, 0.974, 0.967],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A typing error in a figure would move the average off the published one.
    #[test]
    fn the_averages_are_the_published_ones() {
        let average = |net, metric| {
            let sum: f64 = CATEGORIES.iter().map(|category| published(net, metric, category).unwrap()).sum();
            format!("{:.3}", sum / 15.0)
        };
        assert_eq!(Metric::ALL.map(|metric| average("wide_resnet50_2", metric)), ["0.980", "0.980", "0.976"]);
        assert_eq!(Metric::ALL.map(|metric| average("resnet18", metric)), ["0.973", "0.976", "0.970"]);
    }

    #[test]
    fn others_are_not_published() {
        assert_eq!(published("resnet34", Metric::ImageAuroc, "carpet"), None);
        assert_eq!(published("resnet18", Metric::ImageAuroc, "brick"), None);
    }
}
