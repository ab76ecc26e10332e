//! What each block of a net is worth to its predictions.

use super::device_dataset::Source;
use super::evaluate::Evaluator;
use super::interrupt::{Interrupt, Stopped};
use super::learner::Learner;
use super::net::Net;
use std::collections::HashMap;
use tch::Tensor;

/// Percentage points by which the test error rises without each block, by the name of the block's last layer with
/// weights. Moving averages are those of the whole net.
///
/// # Errors
/// [`Stopped`] if the stop flag was set.
pub fn lesion_costs(
    learner: &Learner,
    test: &Source,
    images: usize,
    interrupt: &Interrupt,
) -> Result<HashMap<String, f64>, Stopped> {
    let averages: HashMap<String, Tensor> = learner.net.named_statistics().into_iter().collect();
    let indices: Vec<u32> = (0..images as u32).collect();
    let parameters = learner.parameters();
    let objective = &learner.objective;
    let errors = |net: &Net| {
        let evaluator = Evaluator::new(parameters.place().device, false, interrupt);
        Ok(evaluator.errors(net, objective, test, &indices)?.err_pct)
    };
    let whole = errors(&learner.net)?;
    let mut costs = HashMap::new();
    for lesion in learner.network.lesions() {
        let net = Net::new(&lesion.network, parameters);
        for (name, mut average) in net.named_statistics() {
            average.copy_(&averages[&name]);
        }
        costs.insert(lesion.last_layer, errors(&net)? - whole);
    }
    Ok(costs)
}
