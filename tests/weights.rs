//! Weight files that ask for more than they hold.

#![cfg(feature = "train")]

use patchcore::ErrorKind;
use patchcore::weights::{WeightLimits, parse};

fn safetensors(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
}

fn error(bytes: &[u8]) -> patchcore::Error {
    parse("w.safetensors", bytes, &WeightLimits::default()).unwrap_err()
}

#[test]
fn many_tensors_of_the_same_bytes_are_refused() {
    let entry = |i: usize| format!(r#""t{i}":{{"dtype":"F32","shape":[1000],"data_offsets":[0,4000]}}"#);
    let file =
        |count| safetensors(&format!("{{{}}}", (0..count).map(entry).collect::<Vec<_>>().join(",")), 4000);
    assert!(parse("w.safetensors", &file(4), &WeightLimits::default()).is_ok());
    let error = error(&file(5));
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(error.to_string().contains("expected at most 4000 values"), "{error}");
}

#[test]
fn a_header_out_of_all_proportion_is_refused_and_a_message_stays_short() {
    let long = safetensors(&format!("{{\"a\":[{}1]}}", "1,".repeat(3 << 20)), 0);
    assert_eq!(error(&long).kind(), ErrorKind::Limit);
    let shape = "\"x\",".repeat(10_000);
    let header = format!(r#"{{"a":{{"dtype":"F32","shape":[{shape}1],"data_offsets":[0,4]}}}}"#);
    let message = error(&safetensors(&header, 4)).to_string();
    assert!(message.len() < 500 && message.ends_with("expected a list of sizes"), "{message}");
    let deep = safetensors(&format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000)), 0);
    assert_eq!(error(&deep).kind(), ErrorKind::Format);
}

#[test]
fn numbers_of_another_type_are_named() {
    let file = safetensors(r#"{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}"#, 1);
    let expected = "w.safetensors: tensor a: dtype: found \"F8_E4M3\", expected F16, BF16, F32,";
    assert!(error(&file).to_string().starts_with(expected), "{}", error(&file));
    let file = safetensors(r#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#, 2);
    assert_eq!(parse("w", &file, &WeightLimits::default()).unwrap().get("a", &[2]).unwrap(), [0.0; 2]);
}

#[test]
fn a_network_with_and_without_a_prefix_is_refused() {
    let entry = |name: &str| format!(r#""{name}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#);
    let names = ["layer1.0.conv1.weight", "module.layer1.0.conv1.weight"].map(entry);
    let message = error(&safetensors(&format!("{{{}}}", names.join(",")), 8)).to_string();
    assert!(message.starts_with("w.safetensors: found two networks"), "{message}");
}
