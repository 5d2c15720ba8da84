//! What is unusual about the masks of a test part.

use crate::error::place;
use crate::image::Picture;
use std::path::{Path, PathBuf};

/// Masks of drawn defects have a few colours. Those of more were blurred, or compressed with losses.
const MOST_COLORS: usize = 16;

/// What is unusual about the masks of a test part.
#[derive(Debug, Default)]
pub(super) struct MaskReport {
    empty: Cases,
    mostly_marked: Cases,
    many_colors: Cases,
    turned: Cases,
}

/// How many there are, and the first.
#[derive(Debug, Default)]
struct Cases {
    count: usize,
    first: PathBuf,
}

impl MaskReport {
    /// Looks at the pixels of a mask of `photograph`.
    pub(super) fn add_mask(&mut self, photograph: &Path, mask: &Picture) {
        if mask.has_more_colors(MOST_COLORS) {
            self.many_colors.add(photograph);
        }
    }

    /// Counts `photograph`, whose file states another orientation than its mask.
    pub(super) fn add_turned(&mut self, photograph: &Path) {
        self.turned.add(photograph);
    }

    /// Looks at what the masks of `photograph` mark together.
    pub(super) fn add_marks(&mut self, photograph: &Path, anomalous: bool, marks: &[bool]) {
        let marked = marks.iter().filter(|&&marked| marked).count();
        if marked == 0 && anomalous {
            self.empty.add(photograph);
        } else if marked > marks.len() / 2 {
            self.mostly_marked.add(photograph);
        }
    }

    /// Each kind in one line.
    pub(super) fn notes(&self) -> Vec<String> {
        let rule = "every value but 0 marks a defect";
        let upright = "masks lie on photographs as these are shown, turned by their files' orientation";
        let kinds = [
            (&self.empty, "masks of defective photographs that mark nothing", rule),
            (
                &self.mostly_marked,
                "masks that mark more than half of the photograph (are they inverted?)",
                rule,
            ),
            (&self.many_colors, "masks of many grey levels or colours", rule),
            (&self.turned, "masks whose files state another orientation than the photograph", upright),
        ];
        let kinds = kinds.into_iter().filter(|(cases, ..)| cases.count > 0);
        let line = |(Cases { count, first }, kind, rule): (&Cases, &str, &str)| {
            let first = first.display();
            place(format_args!("{kind}: {count}, such as that of {first}; {rule}"))
        };
        kinds.map(line).collect()
    }
}

impl Cases {
    fn add(&mut self, path: &Path) {
        if self.count == 0 {
            self.first = path.into();
        }
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_that_mark_nothing_or_most_or_have_many_colours_are_noted() {
        let mut report = MaskReport::default();
        let mut add = |name: &str, anomalous: bool, marked: usize, colors: u8| {
            let marks: Vec<bool> = (0..100).map(|i| i < marked).collect();
            let pixels: Vec<u8> = (0..8 * 8 * 3).map(|i| (i / 3) as u8 % colors).collect();
            report.add_mask(Path::new(name), &Picture::from_rgb(8, 8, pixels).unwrap());
            report.add_marks(Path::new(name), anomalous, &marks);
        };
        add("usual.png", true, 50, 2);
        add("classes.png", true, 1, 16);
        add("good.png", false, 0, 1);
        assert!(MaskReport::default().notes().is_empty());
        add("empty.png", true, 0, 1);
        add("empty2.png", true, 0, 1);
        add("inverted.png", true, 51, 2);
        add("blurred.png", true, 1, 17);
        assert_eq!(
            report.notes(),
            [
                "masks of defective photographs that mark nothing: 2, such as that of empty.png; every value but 0 \
                 marks a defect",
                "masks that mark more than half of the photograph (are they inverted?): 1, such as that of \
                 inverted.png; every value but 0 marks a defect",
                "masks of many grey levels or colours: 1, such as that of blurred.png; every value but 0 marks a \
                 defect",
            ]
        );
    }
}
