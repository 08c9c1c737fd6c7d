"""All checks, in the order in which their findings are read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cardproof.audit import (
    check_agreement,
    check_completeness,
    check_losses,
    check_published,
    check_relations,
    check_reports,
    check_scores,
    check_steps,
)
from cardproof.audit.facts import CardFacts, Checked, Finding

Check = Callable[[CardFacts], Iterator[Finding | Checked]]

CHECKS: tuple[Check, ...] = (
    check_agreement.check_metadata_against_list,
    check_agreement.check_metric_twice,
    check_agreement.check_headline_row,
    check_agreement.check_swapped_columns,
    check_agreement.check_prose_and_tables,
    check_relations.check_range,
    check_relations.check_f1_between,
    check_relations.check_identities,
    check_reports.check_report_rows,
    check_reports.check_report_headline,
    check_steps.check_training_rows,
    check_steps.check_epochs_fit_steps,
    check_steps.check_schedule,
    check_steps.check_total_batch,
    check_scores.check_confusion,
    check_losses.check_lowest_loss,
    check_losses.check_calibration,
    check_losses.check_rising_loss,
    check_losses.check_best_checkpoint,
    check_published.check_accuracy,
    check_published.check_first_epoch,
    check_completeness.check_blanks,
)
COMPLETENESS: tuple[Check, ...] = (
    check_completeness.check_placeholders,
    check_completeness.check_split,
    check_completeness.check_missing,
    check_completeness.check_missing_recipe,
    check_completeness.check_reading,
)

_ORDER = ("error", "warning", "note")


@dataclass(frozen=True)
class Audit:
    """What an audit of one card found.

    Attributes:
        findings: errors first, then warnings, then notes.
        checked: what was compared, each once.
    """

    findings: tuple[Finding, ...]
    checked: tuple[str, ...]

    def of(self, severity: str) -> tuple[Finding, ...]:
        """The findings of one severity."""
        return tuple(one for one in self.findings if one.severity == severity)


def run_checks(facts: CardFacts, *, completeness: bool = False) -> Audit:
    """Run all checks; what a card leaves out is only looked for if asked."""
    checks = (*CHECKS, *COMPLETENESS) if completeness else CHECKS
    found = [one for check in checks for one in check(facts)]
    findings = [one for one in found if isinstance(one, Finding)]
    findings.sort(key=lambda finding: _ORDER.index(finding.severity))
    checked = dict.fromkeys(one.what for one in found if isinstance(one, Checked))
    return Audit(tuple(findings), tuple(checked))
