-- Baselines and primary metrics of the seed `experiments` that are not in the data: misspelt, or
-- not there yet. Returns what is named in vain, for each experiment that was seen.
{{ config(severity='warn') }}

with

experiments as (
    select * from {{ ref('dim_experiments') }}
),

variations as (
    select * from {{ ref('dim_variations') }}
),

metrics as (
    select * from {{ ref('dim_metrics') }}
)

select
    experiments.experiment_id,
    'baseline_variation_id' as named_in,
    experiments.baseline_variation_id as named
from experiments
left join variations
    on
        experiments.experiment_id = variations.experiment_id
        and experiments.baseline_variation_id = variations.variation_id
where experiments.baseline_variation_id is not null and variations.variation_id is null
union all
select
    experiments.experiment_id,
    'primary_metric' as named_in,
    experiments.primary_metric as named
from experiments
left join metrics on experiments.primary_metric = metrics.metric_name
where experiments.primary_metric is not null and metrics.metric_name is null
