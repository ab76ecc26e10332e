//! Figures from CSV: SVG and PNG, one file per figure.
