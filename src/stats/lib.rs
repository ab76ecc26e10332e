//! Statistics of results: summaries over seeds, intervals and quantiles, the effect of one key, and the
//! verdicts on claims.

mod ablation;
mod best;
mod best_runs;
mod censored;
mod claims;
mod claims_of_directory;
mod comparison;
mod estimate;
mod evidence;
mod layerwise;
mod numbers;
mod proportion;
mod quantile;
mod ranks;
mod spending;
mod student;
mod summary;
mod summary_csv;
mod verdict;

pub use ablation::{
    Ablation, AblationRow, AblationSide, At, BestBy, ChosenBy, DeclaredTuning, Question,
};
pub use best::{at_edge, best};
pub use best_runs::BestRuns;
pub use claims::{ArmSummary, Verdict, check};
pub use claims_of_directory::{check_directory, check_evidence};
pub use comparison::{ComparedGroup, Comparison, ExecutionDifference, Unmatched};
pub use evidence::{Evidence, Final};
pub use layerwise::Layerwise;
pub use numbers::{CONFIDENCE, Summary};
pub use quantile::{median, quantile};
pub use student::{Interval, quantile as student_quantile};
pub use summary::{Best, ChosenOn, SummaryRow, SummaryTable, table, table_columns};
pub use summary_csv::{axis_cell, summary_csv};
pub use verdict::{Outcome, Region};
