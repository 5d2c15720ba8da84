//! What the machine must refuse, and that it never panics.

use super::*;
use crate::weights::torch_writer::{Py, dict, save_pickle, text};
use proptest::prelude::*;

/// Runs instructions after the protocol's.
fn run(instructions: &[u8]) -> Result<()> {
    let bytes = [b"\x80\x02", instructions].concat();
    super::run(&bytes).map(|_| ())
}

fn message(instructions: &[u8]) -> String {
    run(instructions).expect_err("an error").to_string()
}

#[test]
fn foreign_objects_are_named_and_refused() {
    let found = message(b"cos\nsystem\nX\x02\x00\x00\x00ls\x85R.");
    assert!(
        found.starts_with(
            "pickle at byte 2: instruction: found the Python object \"os.system\", expected plain data"
        ),
        "{found}"
    );
    for global in [
        "builtins\neval",
        "__builtin__\ngetattr",
        "builtins\nset",
        "__builtin__\n__import__",
        "__builtin__\nsetattr",
        "_codecs\ndecode",
        "numpy\nload",
        "numpy.core.multiarray\n_reconstruct",
        "torch\nload",
        "torch\nfloat32.to",
        "torch\nint",
        "torch\ndevice.__class__",
        "argparse\nArgumentParser",
        "pathlib\nPath.unlink",
        "torchvision.transforms_\nCompose",
        "torch.storage\n_load_from_bytes",
        "collections\nnamedtuple",
        "torch._utils\n_rebuild_tensor_v2.__globals__",
        "anomalib\nPrecisionType.__init__",
    ] {
        assert!(run(format!("c{global}\n.").as_bytes()).is_err(), "{global}");
    }
}

#[test]
fn only_what_torch_calls_is_called() {
    assert!(run(b"ccollections\nOrderedDict\n)R.").is_ok());
    // With an argument, of a string, of a dictionary, attributes of a list, a persistent string.
    for instructions in [
        &b"ccollections\nOrderedDict\n]\x85R."[..],
        b"X\x00\x00\x00\x00)R.",
        b"})R.",
        b"]}b.",
        b"X\x00\x00\x00\x00Q.",
        b"ctorch._utils\n_rebuild_tensor_v2\n)R.",
    ] {
        assert!(run(instructions).is_err(), "{}", instructions.escape_ascii());
    }
}

#[test]
fn plain_data_beside_the_weights_is_passed_over() {
    for instructions in [
        &b"c__builtin__\nset\n](K\x01K\x02e\x85R."[..],
        b"c__builtin__\nfrozenset\n]\x85R.",
        b"ctorch\ndevice\nX\x03\x00\x00\x00cpu\x85R.",
        b"cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nX\x02\x00\x00\x00f8\x89\x88\x87R(K\x03Ntb\
          c_codecs\nencode\nX\x01\x00\x00\x00aX\x06\x00\x00\x00latin1\x86R\x86R.",
        b"cargparse\nNamespace\n)\x81}X\x02\x00\x00\x00lrG\x3f\xf0\0\0\0\0\0\0sb.",
        b"c__builtin__\nbytes\n)R.",
        b"cpathlib\nPosixPath\nX\x01\x00\x00\x00/\x85R.",
    ] {
        let bytes = [b"\x80\x02", instructions].concat();
        assert_eq!(super::run(&bytes).unwrap().root, Value::Unread, "{}", instructions.escape_ascii());
    }
    for name in ["float32", "bfloat16", "int64", "uint8", "bool", "complex64"] {
        let bytes = format!("\u{2}ctorch\n{name}\n.");
        let bytes = [b"\x80", bytes.as_bytes()].concat();
        assert_eq!(super::run(&bytes).unwrap().root, Value::Global(Global::Unread), "{name}");
    }
}

#[test]
fn a_size_is_a_tuple_and_a_defaultdict_a_dictionary() {
    let size = super::run(b"\x80\x02ctorch\nSize\nK\x01K\x02\x86\x85R.").unwrap();
    assert_eq!(size.sequence(size.root).unwrap(), [1, 2].map(Value::Int));
    let dict = b"\x80\x02ccollections\ndefaultdict\nc__builtin__\nlong\n\x85RX\x01\x00\x00\x00aK\x01s.";
    let dict = super::run(dict).unwrap();
    assert_eq!(dict.get(dict.root, "a"), Some(Value::Int(1)));
}

#[test]
fn objects_of_other_classes_are_not_made() {
    for instructions in [
        &b"ccollections\nOrderedDict\n)\x81."[..],
        b"ctorch._utils\n_rebuild_tensor_v2\n)\x81.",
        b"]}\x81.",
        b"c__builtin__\nset\n\x81.",
        b"ctorch\nSize\nK\x01\x85R.",
        b"ccollections\ndefaultdict\nNN\x86R.",
        b"c__builtin__\nset\n}b.",
    ] {
        assert!(run(instructions).is_err(), "{}", instructions.escape_ascii());
    }
}

#[test]
fn opcodes_beyond_plain_data_are_refused() {
    let plain = b".\x80(qraesubN\x88\x89JKM\x8aGX])}t\x85\x86\x87hjcQR\x81";
    for opcode in 0..=255 {
        let found = message(&[opcode]);
        assert_eq!(found.contains("one that plain data needs"), !plain.contains(&opcode), "{found}");
    }
    assert!(super::run(b"\x80\x04N.").unwrap_err().to_string().contains("protocol 4"));
}

#[test]
fn stacks_that_run_empty_are_errors() {
    for instructions in [
        &b"."[..],
        b"a.",
        b"s.",
        b"e.",
        b"u.",
        b"t.",
        b"b.",
        b"R.",
        b"Q.",
        b"q\x00.",
        b"h\x00.",
        b"\x85.",
        b"(.",
        b"]N(a.",
        b"](Ne",
        b"}(Nu.",
        b"}NNNs.",
        b"N(NNu.",
        b"NNa.",
    ] {
        assert!(run(instructions).is_err(), "{}", instructions.escape_ascii());
    }
}

#[test]
fn containers_without_end_are_refused_and_do_not_recurse() {
    let nested = [&b"N"[..], &b"\x85".repeat(MAX_VALUES - 1), b"."].concat();
    assert!(run(&nested).is_ok(), "a tuple in a tuple costs no stack");
    assert!(message(&b"(".repeat(MAX_MARKS + 1)).contains("depth"));
    assert!(message(&b"N".repeat(MAX_VALUES + 1)).contains("values: found more"));
    let many = [b"(", &b"}".repeat(1000)[..], b"t"].concat().repeat(MAX_VALUES / 1000 + 1);
    assert!(message(&many).contains("values"));
    // A list that contains itself.
    assert!(run(b"]q\x00h\x00a.").is_ok());
}

#[test]
fn lengths_that_the_file_does_not_back_are_refused() {
    assert!(message(b"X\xff\xff\xff\xffabc").contains("4294967295 bytes more"));
    assert!(message(b"\x8a\xff\x01").contains("255 bytes more"));
    assert!(message(b"Nr\xff\xff\xff\xff").contains("memo"));
    assert!(message(&[b"c".as_slice(), &[b'a'; 2 * MAX_NAME]].concat()).contains("no end of a name"));
    let long = [b"X\x00\x00\x00\x01".as_slice(), &vec![b'a'; MAX_BYTES], b"N"].concat();
    assert!(message(&long).contains("length"));
    assert!(message(b"X\x01\x00\x00\x00\xff").contains("UTF-8"));
}

/// As in files that pickletools.optimize has taken numbers out of.
#[test]
fn the_memo_gives_what_was_put_whatever_its_number() {
    let far = MAX_VALUES as u32 - 1;
    let puts = [&b"\x80\x02K\x07r"[..], &far.to_le_bytes(), b"K\x08q\x03j"].concat();
    for (number, value) in [(far, Some(7)), (3, Some(8)), (4, None)] {
        let all = [&puts[..], &number.to_le_bytes(), b"."].concat();
        assert_eq!(super::run(&all).ok().map(|pickle| pickle.root), value.map(Value::Int), "{number}");
    }
}

#[test]
fn values_come_back() {
    let value = dict([
        ("numbers", Py::List([0, 255, 256, 65_536, -1, i64::MIN, i64::MAX].map(Py::Int).to_vec())),
        ("pair", Py::Tuple(vec![Py::Bool(true), Py::None])),
        ("text", text("déjà")),
        ("float", Py::Float(0.1)),
    ]);
    let saved = crate::weights::torch_writer::save(&value);
    let start = saved.windows(2).position(|w| w == b"\x80\x02").unwrap();
    let pickle = super::run(&saved[start..]).unwrap();
    let get = |key| pickle.get(pickle.root, key).unwrap();
    let expected = [0, 255, 256, 65_536, -1, i64::MIN, i64::MAX].map(Value::Int);
    assert_eq!(pickle.sequence(get("numbers")).unwrap(), expected);
    assert_eq!(pickle.sequence(get("pair")).unwrap(), [Value::Bool(true), Value::None]);
    assert_eq!(get("text"), Value::Str("déjà"));
    assert_eq!(get("float"), Value::Float(0.1));
    assert!(crate::weights::load::parse("w", &save_pickle(b"\x80\x02N."), &Default::default()).is_err());
}

/// Instructions that follow one another at random, with arguments that mostly fit.
fn instruction() -> impl Strategy<Value = Vec<u8>> {
    let argument = || 0u8..4;
    prop_oneof![
        prop::sample::select(b"((.)]}NQRabestu\x81\x85\x86\x87\x88\x89".to_vec())
            .prop_map(|opcode| vec![opcode]),
        (prop::sample::select(b"Khq".to_vec()), argument()).prop_map(|(opcode, n)| vec![opcode, n]),
        argument().prop_map(|n| [&b"X"[..], &[n, 0, 0, 0], &b"abc"[..usize::from(n)]].concat()),
        argument().prop_map(|n| [&[0x8a, n][..], &b"\xff\x7f\x80"[..usize::from(n)]].concat()),
        Just(b"X\x07\x00\x00\x00storage".to_vec()),
        Just(b"ctorch\nFloatStorage\n".to_vec()),
        Just(b"ctorch._utils\n_rebuild_tensor_v2\n".to_vec()),
        Just(b"ccollections\nOrderedDict\n".to_vec()),
        Just(b"ccollections\ndefaultdict\n".to_vec()),
        Just(b"c__builtin__\nset\n".to_vec()),
        Just(b"ctorch\nSize\n".to_vec()),
        any::<u8>().prop_map(|byte| vec![byte]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn no_program_is_a_panic(program in prop::collection::vec(instruction(), 0..40)) {
        let _ = run(&program.concat());
    }
}

#[test]
fn a_list_does_not_grow_without_end() {
    let part = |count: usize| [&b"("[..], &vec![b'N'; count], b"e"].concat();
    let parts = |rounds: usize| [&b"]"[..], &part(MAX_VALUES / 4).repeat(rounds), b"."].concat();
    assert!(run(&parts(3)).is_ok());
    assert!(message(&parts(4)).contains("values: found more than 1048576"));
}
