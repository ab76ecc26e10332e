//! Metrics of a whole net at one step, computed from the statistics of its layers.

use fathom_base::mean;
use fathom_record::LayerRow;
use fathom_spec::{LayerMetric, Layers, OverLayers};
use std::collections::BTreeMap;

/// Metrics of a whole net, computed from the rows of one step of its `layers.csv`.
///
/// - `gradient_first_to_last`: norm of the gradient with respect to the weights of the first layer,
///   divided by that of the last layer before the classifier. Below 1, gradients shrink towards the
///   input.
/// - `gradient_growth`: factor by which that norm grows from layer to layer towards the input. It is
///   fitted by least squares to the logarithm of the norm, with one slope for all stages and one
///   intercept for each stage, as the weights of stages have different shapes. Layers of shortcuts
///   are left out.
/// - `scaled_gradient_first_to_last`, `scaled_gradient_growth`: the same of the norm of the gradient
///   multiplied by that of the weights, which normalisation does not confound with the scale of the
///   weights ([`LayerRow::scaled_gradient_norm`]).
pub struct Layerwise;

impl Layerwise {
    /// The metric after `step` updates, or at the last step of the rows; `None` with too few rows.
    pub fn figure(rows: &[LayerRow], metric: LayerMetric, step: Option<u64>) -> Option<f64> {
        let rows = at(rows, step)?;
        let (raw, scaled) = (|row: &LayerRow| row.gradient_norm, LayerRow::scaled_gradient_norm);
        match metric {
            LayerMetric::FirstToLast => first_to_last(&rows, raw),
            LayerMetric::Growth => growth(&rows, raw),
            LayerMetric::ScaledFirstToLast => first_to_last(&rows, scaled),
            LayerMetric::ScaledGrowth => growth(&rows, scaled),
        }
    }

    /// A column of the layers after `step` updates, or at the last step of the rows: of one layer, or
    /// of all that have a value; `None` if none has.
    pub fn of_layers(
        rows: &[LayerRow],
        column: &str,
        layers: &Layers,
        step: Option<u64>,
    ) -> Option<f64> {
        let rows = at(rows, step)?;
        let mut values = rows.iter().filter(|row| match layers {
            Layers::At(place) => row.layer == *place,
            Layers::Named(name) => row.name == *name,
            Layers::Over(_) => true,
        });
        let Layers::Over(over) = layers else { return values.next()?.metric(column) };
        let values: Vec<f64> = values.filter_map(|row| row.metric(column)).collect();
        match over {
            OverLayers::Mean => mean(&values),
            OverLayers::Min => values.into_iter().reduce(f64::min),
            OverLayers::Max => values.into_iter().reduce(f64::max),
        }
    }
}

/// The rows after `step` updates, or those of the last step.
fn at(rows: &[LayerRow], step: Option<u64>) -> Option<Vec<&LayerRow>> {
    let step = step.or_else(|| rows.last().map(|row| row.step))?;
    Some(rows.iter().filter(|row| row.step == step).collect())
}

fn first_to_last(rows: &[&LayerRow], of: fn(&LayerRow) -> Option<f64>) -> Option<f64> {
    let [first, .., last, _classes] = rows else { return None };
    Some(of(first)? / of(last)?)
}

fn growth(rows: &[&LayerRow], of: fn(&LayerRow) -> Option<f64>) -> Option<f64> {
    let mut stages: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for row in rows.iter().filter(|row| !row.name.contains("downsample")) {
        // `layer1.0.conv2` belongs to the stage `layer1`; the first layer and the classifier to none.
        let Some((stage, _)) = row.name.split_once('.') else { continue };
        stages.entry(stage).or_default().push((row.layer as f64, of(row)?.ln()));
    }
    let (mut products, mut squares) = (0.0, 0.0);
    for points in stages.values() {
        let n = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
        let (x, y) = (mean(|point| point.0), mean(|point| point.1));
        products += points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>();
        squares += points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>();
    }
    // Layers are counted from the input, so the slope towards the input is the negative one.
    (squares > 0.0).then(|| (-products / squares).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A net of two stages whose gradients grow by 1.5 in each layer towards the image.
    fn rows(step: u64) -> Vec<LayerRow> {
        let names = [
            "conv1",
            "layer1.0.conv1",
            "layer1.0.conv2",
            "layer1.1.conv1",
            "layer2.0.conv1",
            "layer2.0.conv2",
            "layer2.0.downsample.0",
            "fc",
        ];
        let row = |(place, name): (usize, &&str)| {
            // All gradients of the second stage are smaller.
            let height = if name.starts_with("layer2") { 0.1 } else { 1.0 };
            LayerRow {
                step,
                layer: place as u64 + 1,
                name: (*name).into(),
                gradient_norm: Some(height * 1.5f64.powi(-(place as i32))),
                ..LayerRow::default()
            }
        };
        names.iter().enumerate().map(row).collect()
    }

    #[test]
    fn growth_is_that_of_layers_within_stages() {
        let mut all = rows(0);
        all[6].gradient_norm = Some(1e9);
        let growth = Layerwise::figure(&all, LayerMetric::Growth, Some(0)).unwrap();
        assert!((growth - 1.5).abs() < 1e-12, "{growth}");
        assert_eq!(Layerwise::figure(&all, LayerMetric::Growth, Some(1)), None);
        assert_eq!(Layerwise::figure(&all[..1], LayerMetric::Growth, None), None);
    }

    #[test]
    fn scaled_metrics_do_not_change_with_the_scale_of_normalised_weights() {
        let mut all = rows(0);
        for row in &mut all {
            row.weight_norm = Some(2.0);
        }
        let figure = |rows: &[LayerRow], metric| Layerwise::figure(rows, metric, None).unwrap();
        let (ratio, growth) = (LayerMetric::ScaledFirstToLast, LayerMetric::ScaledGrowth);
        let before = [ratio, growth].map(|metric| figure(&all, metric));
        let raw = [LayerMetric::FirstToLast, LayerMetric::Growth].map(|raw| figure(&all, raw));
        assert!(before.iter().zip(raw).all(|(scaled, raw)| (scaled - raw).abs() < 1e-12));
        // The first layer and one of a stage grow, and their gradients shrink as much.
        for (place, factor) in [(0, 20.0), (2, 3.0)] {
            all[place].weight_norm = Some(2.0 * factor);
            all[place].gradient_norm = all[place].gradient_norm.map(|norm| norm / factor);
        }
        let after = [ratio, growth].map(|metric| figure(&all, metric));
        assert!(
            before.iter().zip(after).all(|(a, b)| (a - b).abs() < 1e-12),
            "{before:?} {after:?}"
        );
        assert!((figure(&all, LayerMetric::FirstToLast) - raw[0] / 20.0).abs() < 1e-12);
        all[0].weight_norm = None;
        assert_eq!(Layerwise::figure(&all, ratio, None), None);
    }

    #[test]
    fn the_last_step_counts_where_none_is_given_and_classes_do_not() {
        let mut all = rows(0);
        all.extend(rows(10));
        let first = all.len() - 8;
        all[first].gradient_norm = Some(5.0);
        all[first + 6].gradient_norm = Some(2.0);
        let ratio = |step| Layerwise::figure(&all, LayerMetric::FirstToLast, step);
        assert_eq!(ratio(None), Some(2.5));
        assert!(ratio(Some(0)).unwrap() > 2.5);
    }

    #[test]
    fn a_column_is_taken_at_a_layer_or_over_all_that_have_it() {
        let mut all = rows(0);
        for (row, cosine) in all.iter_mut().zip([None, Some(0.25), Some(0.75)]) {
            row.cosine = cosine;
        }
        let of = |column: &str, layers| Layerwise::of_layers(&all, column, &layers, Some(0));
        assert_eq!(of("gradient_norm", Layers::At(1)), Some(1.0));
        assert_eq!(of("cosine", Layers::Named("layer1.0.conv2".into())), Some(0.75));
        assert_eq!(of("cosine", Layers::Named("conv1".into())), None);
        assert_eq!(of("cosine", Layers::At(99)), None);
        assert_eq!(of("cosine", Layers::Over(OverLayers::Mean)), Some(0.5));
        assert_eq!(of("cosine", Layers::Over(OverLayers::Min)), Some(0.25));
        assert_eq!(of("cosine", Layers::Over(OverLayers::Max)), Some(0.75));
        assert_eq!(of("dead_pct", Layers::Over(OverLayers::Mean)), None);
        assert_eq!(Layerwise::of_layers(&all, "cosine", &Layers::At(2), Some(5)), None);
    }
}
