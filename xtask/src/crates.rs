//! The number of crates that the library brings to a program.

use crate::{Result, cargo};
use std::collections::BTreeSet;

/// Fails unless the library, built with the features that `options` select, depends on exactly `number`
/// crates.
///
/// Two versions of a crate count once. The number is the same on every machine: the tree is that of x86-64
/// Linux.
pub fn check(number: &str, options: &[&str]) -> Result<()> {
    let limit: usize = number.parse().map_err(|_| format!("found {number}, expected a number of crates"))?;
    let tree = ["tree", "--package", "patchcore", "--edges", "normal", "--prefix", "none"];
    let target = ["--target", "x86_64-unknown-linux-gnu"];
    let tree = cargo::cargo(&[&tree[..], &target, options].concat())?;
    let names = names(&tree);
    println!("{} crates beside the library {}", names.len(), options.join(" "));
    compare(&names, limit)
}

/// The crates in the output of `cargo tree --prefix none`, beside the library.
fn names(tree: &str) -> BTreeSet<&str> {
    tree.lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "patchcore")
        .collect()
}

fn compare(names: &BTreeSet<&str>, limit: usize) -> Result<()> {
    let found = names.len();
    if found == limit {
        return Ok(());
    }
    let list = names.iter().copied().collect::<Vec<_>>().join(" ");
    let advice = if found > limit {
        "argue the new crate in the commit and raise the limit in .ci/features, or do without it"
    } else {
        "lower the limit in .ci/features"
    };
    Err(format!("found {found} crates, expected {limit}: {advice}\n{list}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "patchcore v0.1.0 (/src)\nimage v0.25.10\nminiz_oxide v0.8.9\nminiz_oxide v0.9.0\nimage v0.25.10 (*)\n";

    #[test]
    fn a_crate_counts_once_and_the_library_not_at_all() {
        assert_eq!(names(TREE), BTreeSet::from(["image", "miniz_oxide"]));
    }

    #[test]
    fn more_and_fewer_crates_than_the_limit_are_errors() {
        let names = names(TREE);
        assert_eq!(compare(&names, 2), Ok(()));
        assert!(compare(&names, 1).unwrap_err().starts_with("found 2 crates, expected 1: argue"));
        assert!(compare(&names, 3).unwrap_err().contains("lower the limit"));
    }
}
