//! The names of tensors.

/// Before the state-dict names of torchvision and timm: of parallel training, and of anomalib's PatchCore.
const PREFIXES: [&str; 2] = ["module.", "model.feature_extractor.feature_extractor."];

/// `name` as torchvision and timm have it.
pub(super) fn plain_name(mut name: &str) -> &str {
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        name = rest;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_removed() {
        assert_eq!(plain_name("module.conv1.weight"), "conv1.weight");
        assert_eq!(plain_name("model.feature_extractor.feature_extractor.bn1.bias"), "bn1.bias");
        assert_eq!(plain_name("model.memory_bank"), "model.memory_bank");
    }
}
