//! Heat maps, overlays and masks as files.

// They draw into pictures of their own size; what lies outside is left out.
#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation)]
mod canvas;
#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation)]
mod sheet;

use patchcore::image::{ColorScale, HeatMap, Picture};
use patchcore::{Error, Result};
use patchcore::{Session, Verdict};
use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

/// The longer side of pictures at most, in pixels: their memory and time are bounded, whatever the camera's.
const LARGEST: usize = 2048;
/// No photograph has a shorter side.
const SMALLEST: usize = 8;
/// What the names of pictures end in: heat map, overlay, mask.
const ENDINGS: [&str; 3] = ["-heat.png", "-overlay.png", "-mask.png"];

/// Where the pictures of each photograph go: paths below `folder` that lack the pictures' endings. The layout
/// of the photographs below their common folder is kept, and no two are the same.
///
/// # Errors
/// They would lie among the photographs, where a training would take them for such.
pub fn stems(folder: &Path, photographs: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let stems = places(folder, photographs);
    let among: HashSet<PathBuf> = photographs.iter().filter_map(|path| folder_of(path)).collect();
    match stems.iter().filter_map(|stem| folder_of(stem)).find(|place| among.contains(place)) {
        None => Ok(stems),
        Some(place) => Err(Error::argument(
            "--out",
            format!("{}, which puts pictures into {}", folder.display(), place.display()),
            "another folder than that of the photographs",
        )),
    }
}

/// The folder that `path` lies in, if there is one yet.
fn folder_of(path: &Path) -> Option<PathBuf> {
    let folder = path.parent()?;
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }.canonicalize().ok()
}

fn places(folder: &Path, photographs: &[PathBuf]) -> Vec<PathBuf> {
    let plain: Vec<PathBuf> = photographs.iter().map(|path| plain(path)).collect();
    let parents = plain.iter().map(|path| path.parent().unwrap_or(Path::new("")));
    let common = parents.map(Path::to_path_buf).reduce(|a, b| shared(&a, &b)).unwrap_or_default();
    let mut taken = HashSet::new();
    let stem = |path: &PathBuf| distinct(path.strip_prefix(&common).unwrap_or(path), &mut taken);
    plain.iter().map(stem).map(|stem| folder.join(stem)).collect()
}

/// Writes the pictures of `photograph`, which was read from `path`. `verdict` is the last one of `session`,
/// and
/// `stem` one of [`stems`]. Heat map and mask have the photograph's size, but at most [`LARGEST`] pixels a
/// side; the overlay is for people to read.
pub fn write(
    stem: &Path,
    path: &Path,
    photograph: &Picture,
    verdict: &Verdict,
    session: &Session,
) -> Result<()> {
    if let Some(folder) = stem.parent() {
        create_folder(folder)?;
    }
    let (width, height) = size(photograph.width(), photograph.height());
    let layers = Layers::of(session, width, height)?;
    let heat_map = layers.heat_map()?;
    let overlay = sheet::draw(path, photograph, verdict, session)?;
    let pictures = [heat_map.colors()?, overlay, heat_map.mask()?];
    pictures
        .iter()
        .zip(ENDINGS)
        .try_for_each(|(picture, ending)| picture.save_png(&with_suffix(stem, ending)))
}

/// Anomaly map and mask of the last prediction at a size, and their colours.
struct Layers {
    width: usize,
    height: usize,
    map: Vec<f32>,
    mask: Vec<bool>,
    scale: ColorScale,
}

impl Layers {
    fn of(session: &Session, width: usize, height: usize) -> Result<Self> {
        let (mut map, mut mask) = (vec![0.0; width * height], vec![0; width * height]);
        session.map_over_image(width, height, &mut map)?;
        session.mask_over_image(width, height, &mut mask)?;
        let mask = mask.into_iter().map(|value| value > 0).collect();
        let scale = match unit_of_scores(session) {
            Some(threshold) => ColorScale::of_threshold(threshold),
            None => ColorScale::of_range(session.map()?),
        };
        Ok(Self { width, height, map, mask, scale })
    }

    fn heat_map(&self) -> Result<HeatMap<'_>> {
        HeatMap::new(&self.map, &self.mask, self.scale, self.height, self.width)
    }
}

/// The pixel threshold, in whose units the values of maps are shown; `None` where the model has none above 0.
fn unit_of_scores(session: &Session) -> Option<f32> {
    session.calibration().pixel_threshold().filter(|&threshold| threshold > 0.0)
}

/// Width and height of the pictures of a photograph.
fn size(width: usize, height: usize) -> (usize, usize) {
    let longer = width.max(height);
    let scaled = |side: usize| if longer > LARGEST { (side * LARGEST / longer).max(SMALLEST) } else { side };
    (scaled(width), scaled(height))
}

/// `found` without the pictures that [`write()`] made: those that lie beside both others of their photograph.
pub fn left_out(mut found: Vec<PathBuf>) -> Vec<PathBuf> {
    let all: HashSet<String> = found.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    found.retain(|path| {
        let path = path.to_string_lossy();
        let stem = ENDINGS.iter().find_map(|ending| path.strip_suffix(ending));
        !stem.is_some_and(|stem| ENDINGS.iter().all(|ending| all.contains(&format!("{stem}{ending}"))))
    });
    found
}

/// Makes `folder` and those above it, and fails where no picture could be written there.
pub fn check_folder(folder: &Path) -> Result<()> {
    create_folder(folder)?;
    patchcore::internals::atomic::check(&with_suffix(&folder.join("0"), ENDINGS[0]))
}

/// Makes `folder` and those above it.
pub fn create_folder(folder: &Path) -> Result<()> {
    match folder.metadata() {
        Ok(there) if !there.is_dir() => Err(Error::argument(folder.display(), "a file", "a folder")),
        _ => std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, "create", &e)),
    }
}

/// The names that lead from the root to `path`, none of them upwards.
fn plain(path: &Path) -> PathBuf {
    let mut names = PathBuf::new();
    for component in std::path::absolute(path).unwrap_or_else(|_| path.into()).components() {
        match component {
            Component::Normal(name) => names.push(name),
            Component::ParentDir => drop(names.pop()),
            _ => {}
        }
    }
    names
}

/// The longest path that both begin with.
fn shared(a: &Path, b: &Path) -> PathBuf {
    a.components().zip(b.components()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
}

/// `path` without its extension, or with it, or with a number as well: the first that is not yet `taken`.
fn distinct(path: &Path, taken: &mut HashSet<String>) -> PathBuf {
    let numbered = (2u64..).map(|number| with_suffix(path, &format!("-{number}")));
    let mut names = [path.with_extension(""), path.into()].into_iter().chain(numbered);
    // Some file systems take A and a for the same.
    names.find(|name| taken.insert(name.to_string_lossy().to_lowercase())).unwrap_or_default()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn below_out(photographs: &[&str]) -> Vec<String> {
        let paths: Vec<PathBuf> = photographs.iter().map(PathBuf::from).collect();
        let stems = places(Path::new("out"), &paths);
        let name = |stem: &PathBuf| stem.strip_prefix("out").unwrap().to_str().unwrap().replace('\\', "/");
        stems.iter().map(name).collect()
    }

    #[test]
    fn pictures_keep_the_layout_below_the_common_folder() {
        let found =
            below_out(&["set/test/good/000.png", "set/test/scratch/000.png", "set/test/scratch/001.png"]);
        assert_eq!(found, ["good/000", "scratch/000", "scratch/001"]);
    }

    #[test]
    fn photographs_from_anywhere_stay_below_the_folder() {
        let here = std::env::current_dir().unwrap();
        let here = plain(&here).to_str().unwrap().replace('\\', "/");
        let found = below_out(&["/elsewhere/a.png", "b.png", "x/../../up/c.png", "/../d.png"]);
        let up = Path::new(&here).parent().unwrap().to_str().unwrap().to_string();
        let up = format!("{up}/up/c").trim_start_matches('/').to_string();
        assert_eq!(found, ["elsewhere/a".to_string(), format!("{here}/b"), up, "d".into()]);
    }

    #[test]
    fn no_two_photographs_share_a_name() {
        let found = below_out(&["x.jpg", "x.png", "X.png", "x.png.tif", "x.png", "a/../x.png"]);
        assert_eq!(found, ["x", "x.png", "X.png-2", "x.png.tif", "x.png-3", "x.png-4"]);
    }

    #[test]
    fn pictures_have_the_shape_of_the_photograph() {
        assert_eq!(size(640, 480), (640, 480));
        assert_eq!(size(4096, 3000), (2048, 1500));
        assert_eq!(size(8, 65_535), (8, 2048));
    }

    #[test]
    fn pictures_are_known_by_one_another() {
        let left = |names: &[&str]| left_out(names.iter().map(PathBuf::from).collect());
        let pictures = ["a/0-heat.png", "a/0-mask.png", "a/0-overlay.png"];
        assert_eq!(
            left(&[&pictures[..], &["a/0.png", "b/0-mask.png"]].concat()),
            ["a/0.png", "b/0-mask.png"].map(PathBuf::from)
        );
        assert_eq!(left(&pictures[..2]), pictures[..2].iter().map(PathBuf::from).collect::<Vec<_>>());
    }
}
