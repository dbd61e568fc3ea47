//! `report`: what a suite's runs say together, as a page, Markdown or JSON.

use std::path::PathBuf;

use counterfoil_suite::Store;
use counterfoil_suite::report::{Report, html, markdown};
use counterfoil_ticket::{Secrecy, write_atomically};

use crate::output::{print, print_json};
use crate::writing::{Force, check};
use crate::{Error, Exit};

/// Show what a suite's runs say together
///
/// One page that needs nothing else: what each attack does to each subject, what a thief must pay, curves, and every run
/// with its parameters.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  counterfoil report runs -o report.html
  counterfoil report runs --markdown")]
pub(crate) struct Args {
    /// The folder that 'suite run' or 'suite add' has written
    runs: PathBuf,
    /// Where the page goes
    #[arg(long, short, value_name = "FILE", required_unless_present_any = ["markdown", "json"])]
    output: Option<PathBuf>,
    /// Title of the page
    #[arg(long, value_name = "TEXT", default_value = "What is left of the mark")]
    title: String,
    /// Print the tables as Markdown
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Print all of it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    force: Force,
}

impl Args {
    pub(crate) fn run(self) -> Result<Exit, Error> {
        let store = Store::existing(&self.runs)?;
        if let Some(output) = &self.output {
            if store.keeps(output) {
                return Err(Error::SameFile {
                    file: output.clone(),
                    one: "a file of the suite's folder",
                    other: "the report",
                });
            }
            check(&[("the report", output)], &[], self.force.overwrite())?;
        }
        let report = Report::new(store.lines()?);
        if let Some(output) = &self.output {
            let page = html(&report, &self.title);
            write_atomically(output, self.force.overwrite(), Secrecy::Public, |out| out.write_all(page.as_bytes()))?;
        }
        if self.json {
            print_json(&report)?;
        } else if self.markdown {
            print(&markdown(&report))?;
        } else if let Some(output) = &self.output {
            let totals = report.totals;
            print(&format!(
                "{} runs, {} held, {} inconclusive, {} evaded: {}\n",
                totals.runs,
                totals.held,
                totals.inconclusive,
                totals.evaded,
                output.display()
            ))?;
        }
        Ok(Exit::Success)
    }
}
