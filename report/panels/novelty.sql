-- Does the effect wear off?
-- The chosen metric by days since a visitor's exposure. An improvement that shrinks from day to day
-- is novelty; one that grows is learning. Each day is small: look at the direction.
select
    days_since_exposure,
    variation_id as variation,
    visitors,
    lift,
    replace(verdict, '_', ' ') as verdict
from experiment_novelty
where
    experiment_id = $experiment_id
    and metric_name = $metric_name
    and variation_id <> baseline_variation_id
order by days_since_exposure, length(variation_id), variation_id
