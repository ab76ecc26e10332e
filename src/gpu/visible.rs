//! GPUs that the variable `CUDA_VISIBLE_DEVICES` hides from CUDA.

use super::Gpu;

/// GPUs that the variable hides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// No GPU is hidden.
    Nothing,
    /// Number of GPUs that are hidden.
    Some(usize),
    /// All GPUs are hidden, since the variable is empty.
    All,
    /// This entry names no GPU of the machine. CUDA ignores it and all entries after it.
    Unknown(String),
}

/// Determines which of `gpus` a value of the variable hides. The value lists indices, or UUIDs (`GPU-…`,
/// `MIG-…`), which may be abbreviated to a unique prefix; it is `None` where the variable is not set.
pub fn hidden(value: Option<&str>, gpus: &[Gpu]) -> Hidden {
    let Some(value) = value else { return Hidden::Nothing };
    if value.trim().is_empty() {
        return Hidden::All;
    }
    let mut seen = Vec::new();
    for entry in value.split(',').map(str::trim) {
        let Some(index) = index(entry, gpus) else { return Hidden::Unknown(entry.to_owned()) };
        if !seen.contains(&index) {
            seen.push(index);
        }
    }
    match gpus.len() - seen.len() {
        0 => Hidden::Nothing,
        hidden => Hidden::Some(hidden),
    }
}

/// Index of the GPU that an entry names.
fn index(entry: &str, gpus: &[Gpu]) -> Option<usize> {
    if let Ok(index) = entry.parse::<usize>() {
        return (index < gpus.len()).then_some(index);
    }
    let names = |gpu: &Gpu| {
        let all = std::iter::once(&gpu.uuid).chain(&gpu.slices);
        // Older drivers name MIG devices MIG-GPU-…/1/0.
        all.filter(|name| name.starts_with(entry)).count()
            + usize::from(
                entry.strip_prefix("MIG-").is_some_and(|rest| rest.starts_with(&gpu.uuid)),
            )
    };
    if !(entry.starts_with("GPU-") || entry.starts_with("MIG-")) {
        return None;
    }
    let mut found = gpus.iter().enumerate().filter(|(_, gpu)| names(gpu) > 0);
    let (index, _) = found.next()?;
    found.next().is_none().then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_and_uuids_are_understood() {
        let gpu = |uuid: &str, slices: &[&str]| Gpu {
            uuid: uuid.into(),
            slices: slices.iter().map(|slice| (*slice).to_owned()).collect(),
            ..Gpu::default()
        };
        let gpus = [gpu("GPU-aa11", &[]), gpu("GPU-aa22", &["MIG-bb11", "MIG-bb22"])];
        let cases = [
            (None, Hidden::Nothing),
            (Some(""), Hidden::All),
            (Some("0,1"), Hidden::Nothing),
            (Some("1"), Hidden::Some(1)),
            (Some(" 1 , 0 "), Hidden::Nothing),
            (Some("GPU-aa2"), Hidden::Some(1)),
            (Some("GPU-aa22,0"), Hidden::Nothing),
            (Some("MIG-bb11"), Hidden::Some(1)),
            (Some("MIG-GPU-aa22/1/0"), Hidden::Some(1)),
            (Some("GPU-aa"), Hidden::Unknown("GPU-aa".into())),
            (Some("0,7"), Hidden::Unknown("7".into())),
            (Some("-1"), Hidden::Unknown("-1".into())),
            (Some("GPU-cc"), Hidden::Unknown("GPU-cc".into())),
        ];
        for (value, expected) in cases {
            assert_eq!(hidden(value, &gpus), expected, "{value:?}");
        }
    }
}
