//! The documentation's relative links lead to files and headings that exist, the index names every page, and
//! the tests that keep a promise exist.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Folders whose pages are not ours.
const SKIPPED: [&str; 4] = ["target", ".git", "node_modules", "corpus"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `folder` whose name ends in `.extension`.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            if !SKIPPED.iter().any(|skipped| name == *skipped) {
                found.extend(files(&path, extension));
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The lines of `page` outside code blocks.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    })
}

/// The targets of the inline links of `page`, but for those in code.
fn targets(page: &str) -> Vec<&str> {
    let text = prose(page).flat_map(|line| line.split('`').step_by(2));
    // A link's text may be code, so that its end and its target follow a backtick.
    let ends = text.flat_map(|part| part.split("](").skip(1));
    ends.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target).collect()
}

/// The anchors of `page`: its headings as GitHub names them, a repeated one with a number.
fn anchors(page: &str) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let headings = prose(page)
        .filter_map(|line| line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')));
    headings
        .map(|heading| {
            let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            let slug: String =
                kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect();
            let count = seen.entry(slug.clone()).or_default();
            *count += 1;
            if *count > 1 { format!("{slug}-{}", *count - 1) } else { slug }
        })
        .collect()
}

/// What is wrong with the link `target` of a page in `folder`, whose own text is `page`.
fn fault(target: &str, folder: &Path, page: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let file = folder.join(path);
    if !path.is_empty() && !file.exists() {
        return Some(format!("no file {}", file.display()));
    }
    if anchor.is_empty() {
        return None;
    }
    let other = if path.is_empty() { page.to_owned() } else { fs::read_to_string(&file).ok()? };
    (!anchors(&other).iter().any(|known| known == anchor)).then(|| format!("no heading #{anchor}"))
}

#[test]
fn relative_links_lead_somewhere() {
    let mut checked = 0;
    let mut faults = Vec::new();
    for path in files(root(), "md") {
        let page = fs::read_to_string(&path).unwrap();
        let folder = path.parent().unwrap();
        for target in targets(&page) {
            checked += 1;
            faults.extend(fault(target, folder, &page).map(|fault| format!("{}: {fault}", path.display())));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(checked > 100, "only {checked} links were found");
}

#[test]
fn the_index_names_every_page() {
    let index = fs::read_to_string(root().join("docs/README.md")).unwrap();
    let listed: Vec<PathBuf> = targets(&index)
        .into_iter()
        .filter_map(|target| root().join("docs").join(target.split('#').next()?).canonicalize().ok())
        .collect();
    let missing: Vec<_> = files(&root().join("docs"), "md")
        .into_iter()
        .filter(|page| !page.ends_with("docs/README.md"))
        .filter(|page| !listed.contains(&page.canonicalize().unwrap()))
        .collect();
    assert!(missing.is_empty(), "docs/README.md does not link {missing:?}");
}

#[test]
fn tests_that_keep_a_promise_exist() {
    let sources: String = files(root(), "rs").iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let functions: HashSet<&str> = sources
        .split("fn ")
        .filter_map(|rest| rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next())
        .collect();
    let mut named = 0;
    for page in ["docs/security.md", "docs/reliability.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        let code = prose(&text).flat_map(|line| line.split('`').skip(1).step_by(2));
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        for name in code.filter(|code| code.matches('_').count() >= 2 && code.chars().all(is_name)) {
            assert!(functions.contains(name), "{page}: there is no function {name}");
            named += 1;
        }
    }
    assert!(named > 50, "only {named} names were found");
}

#[test]
fn broken_links_are_found() {
    let page = "# One `two`, three\n[a](missing.md) [`b`](#one-two-three) [c](#four)\n```\n[d](code.md)\n```\n`[e](code.md)`\n# One";
    assert_eq!(targets(page), ["missing.md", "#one-two-three", "#four"]);
    let faults: Vec<_> = targets(page).into_iter().filter_map(|target| fault(target, root(), page)).collect();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert_eq!(anchors("## A b\n## A b\n#c\n## D-e_f (g)"), ["a-b", "a-b-1", "d-e_f-g"]);
}
