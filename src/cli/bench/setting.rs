//! The settings that `fathom bench` times: nets, values of `--over`, and layouts.

use super::over::{Point, combinations};
use super::{Args, Machine};
use crate::Usage;
use fathom_arch::Network;
use fathom_protocol::BenchJob;
use fathom_record::Layout;
use fathom_spec::{Config, KEYS, Settings};

/// A net to be timed.
pub struct Setting {
    /// Name of the net as the user gave it.
    pub name: String,
    /// Flags of keys of the network, without their dashes, and their values.
    pub given: Vec<(String, String)>,
    /// Values of `--over`.
    pub point: Point,
    /// The net.
    pub network: Network,
    /// Recipe of the updates.
    pub config: Config,
    /// Number of images of one update.
    pub batch: u64,
    /// Memory layout of activations.
    pub layout: Layout,
}

impl Args {
    /// All settings in the order of their rows.
    ///
    /// # Errors
    /// When one of them is invalid.
    pub(super) fn settings(&self) -> Result<Vec<Setting>, Usage> {
        let points = combinations(&self.over)?;
        let layouts = self.layout.map_or_else(|| Layout::ALL.to_vec(), |one| vec![one]);
        let mut settings = Vec::new();
        for name in &self.networks {
            for point in &points {
                for layout in &layouts {
                    let setting = self.setting(name, point, *layout);
                    settings.push(setting.map_err(|error| point.in_context(error))?);
                }
            }
        }
        Ok(settings)
    }

    fn setting(&self, name: &str, point: &Point, layout: Layout) -> Result<Setting, Usage> {
        let (batch, keys) = point.apply(self.batch, &self.keys)?;
        let described = keys.describe(name)?;
        if self.over.is_empty() {
            keys.check_effect(&described)?;
        }
        let (input, classes) = self.images.of(&described);
        let network = described.build(input, classes)?;
        let defaults = KEYS.iter().filter_map(|key| Some((key.name.into(), key.default.value()?)));
        let mut config: Config = defaults.collect();
        config.extend(described.keys);
        config.extend([
            // No data set is read: the images are noise.
            ("data.source".into(), "shapes".into()),
            ("data.augment".into(), self.augment.word().into()),
            ("training.iterations".into(), 1.into()),
            ("training.batch".into(), batch.into()),
            ("training.precision".into(), self.precision.word().into()),
        ]);
        Settings::new(&config).map_err(|invalid| Usage(invalid.to_string()))?;
        let (name, point) = (name.to_owned(), point.clone());
        let given = self.keys.given().map(|(flag, text)| (flag, text.to_owned())).collect();
        Ok(Setting { name, given, point, network, config, batch, layout })
    }
}

impl Setting {
    /// The job by which a worker times updates for a number of seconds, and profiles so many more.
    pub(super) fn job(&self, machine: &Machine, seconds: f64, profiled: u64) -> BenchJob {
        BenchJob {
            build: fathom_base::program().build.into(),
            network: self.network.clone(),
            config: self.config.clone(),
            device: machine.device.clone(),
            threads: machine.threads,
            layout: self.layout,
            cuda: machine.cuda,
            seconds,
            profiled,
            supervisor: std::process::id(),
        }
    }
}
