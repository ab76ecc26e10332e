use super::*;
use serde_json::json;

fn net(family: &ResNet, depth: usize) -> Network {
    with(family, json!({ "network.depth": depth }), 32, 10)
}

fn with(family: &ResNet, set: serde_json::Value, size: usize, classes: usize) -> Network {
    let mut keys: FamilyKeys = family
        .keys
        .iter()
        .filter_map(|key| Some((key.name.to_owned(), key.default.value()?)))
        .collect();
    for (key, value) in set.as_object().unwrap() {
        keys.insert(key.clone(), value.clone());
    }
    family.build(&keys, [3, size, size], classes).unwrap()
}

#[test]
fn options_b_and_pre_activation_have_the_published_sizes() {
    let b = |depth: usize| json!({ "network.depth": depth, "network.shortcut": "b" });
    for (depth, parameters) in [(20, 272_474), (32, 466_906), (56, 855_770), (110, 1_730_714)] {
        assert_eq!(with(&RESIDUAL, b(depth), 32, 10).parameter_count(), parameters);
    }
    assert_eq!(with(&RESIDUAL, b(20), 32, 10).audit().macs, 40_551_040 + 262_144);
    assert_eq!(with(&PREACT, b(20), 32, 10).parameter_count(), 272_282);
    // 1603.05027 rounds them to 1.7M and 10.2M.
    let bottleneck = |depth: usize| {
        let keys = json!({ "network.depth": depth, "network.block": "bottleneck",
                "network.shortcut": "b" });
        with(&PREACT, keys, 32, 10).parameter_count()
    };
    assert_eq!((bottleneck(164) / 100_000, bottleneck(1001) / 100_000), (17, 103));
}

#[test]
fn imagenet_nets_have_torchvision_s_parameters() {
    for (depth, block, parameters) in [
        (18, "basic", 11_689_512),
        (34, "basic", 21_797_672),
        (50, "bottleneck", 25_557_032),
        (101, "bottleneck", 44_549_160),
        (152, "bottleneck", 60_192_808),
    ] {
        let keys = json!({ "network.depth": depth, "network.block": block,
                "network.stem": "imagenet", "network.width": 64, "network.shortcut": "b" });
        assert_eq!(with(&RESIDUAL, keys, 224, 1000).parameter_count(), parameters, "{depth}");
    }
}

#[test]
fn parameters_and_macs_are_those_of_the_paper() {
    let published = [
        (20, 269_722, 40_551_040),
        (32, 464_154, 68_862_592),
        (44, 658_586, 97_174_144),
        (56, 853_018, 125_485_696),
        (110, 1_727_962, 252_887_680),
    ];
    for (depth, parameters, macs) in published {
        for family in [&PLAIN, &RESIDUAL] {
            let audit = net(family, depth).audit();
            assert_eq!(audit.parameters, parameters, "{}-{depth}", family.name);
            assert_eq!(audit.macs, macs, "{}-{depth}", family.name);
        }
    }
    assert_eq!(net(&RESIDUAL, 1202).audit().parameters, 19_421_274);
    assert_eq!(net(&RESIDUAL, 1202).audit().macs, 2_829_238_912);
}

#[test]
fn arms_share_their_initial_weights_by_name() {
    let (plain, residual) = (net(&PLAIN, 20).initial(3), net(&RESIDUAL, 20).initial(3));
    assert_eq!(plain, residual);
    assert_ne!(plain[0].values, net(&PLAIN, 20).initial(4)[0].values);
    let deeper = net(&PLAIN, 32).initial(3);
    assert!(plain.iter().all(|parameter| deeper.contains(parameter)));
}

#[test]
fn he_initialisation_has_the_deviation_of_its_fan() {
    let weights = net(&PLAIN, 20).initial(0);
    let last = weights.iter().find(|p| p.name == "layer3.2.conv2.weight").unwrap();
    let n = last.values.len() as f64;
    let variance = last.values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / n;
    let expected = 2.0 / (9.0 * 64.0);
    assert!((variance / expected - 1.0).abs() < 0.03, "{variance} against {expected}");
}

#[test]
fn a_depth_outside_the_family_is_refused_with_the_nearest() {
    let mut keys = FamilyKeys::new();
    for key in COMMON {
        if let Some(value) = key.default.value() {
            keys.insert(key.name.into(), value);
        }
    }
    keys.insert("network.depth".into(), json!(45));
    let error = PLAIN.build(&keys, [3, 32, 32], 10).unwrap_err();
    assert_eq!(error.to_string(), "network.depth: 45 is not 6n+2; the nearest are 44 and 50");
}

#[test]
fn without_normalisation_convolutions_have_a_bias() {
    let mut keys: FamilyKeys =
        COMMON.iter().filter_map(|key| Some((key.name.to_owned(), key.default.value()?))).collect();
    keys.insert("network.depth".into(), json!(8));
    keys.insert("network.norm".into(), json!("none"));
    let net = PLAIN.build(&keys, [1, 14, 14], 10).unwrap();
    let names: Vec<String> = net.initial(0).into_iter().map(|p| p.name).collect();
    assert!(names.contains(&"conv1.bias".to_owned()));
    assert!(!names.iter().any(|name| name.contains("bn")), "{names:?}");
}
