"""All checks, in the order in which their findings are read."""

from collections.abc import Callable, Iterator

from cardproof.audit import check_losses, check_metadata, check_published, check_scores, check_steps
from cardproof.audit.facts import CardFacts, Finding

Check = Callable[[CardFacts], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    check_published.check_basis,
    check_steps.check_training_rows,
    check_steps.check_optimizer_steps,
    check_steps.check_epochs_fit_steps,
    check_steps.check_schedule,
    check_steps.check_total_batch,
    check_scores.check_scored_rows,
    check_scores.check_whole_counts,
    check_scores.check_confusion,
    check_scores.check_harmonic_mean,
    check_scores.check_recall_is_accuracy,
    check_losses.check_lowest_loss,
    check_losses.check_calibration,
    check_losses.check_overfitting,
    check_losses.check_headline_row,
    check_published.check_accuracy,
    check_published.check_first_epoch,
    check_metadata.check_figures_agree,
    check_metadata.check_split,
    check_metadata.check_placeholders,
    check_metadata.check_missing,
    check_metadata.check_missing_recipe,
    check_metadata.check_reading,
)

_ORDER = ("error", "warning", "note")


def run_checks(facts: CardFacts) -> list[Finding]:
    """Run all checks; errors come first, then warnings, then notes."""
    findings = [finding for check in CHECKS for finding in check(facts)]
    return sorted(findings, key=lambda finding: _ORDER.index(finding.severity))
