//! Packages named by their behaviour, and a local index that serves them.
