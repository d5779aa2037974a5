-- The visitors of an experiment's variations are its exposures that count, by every metric. Returns
-- the experiments × metrics where they are not.
with

exposures as (
    select
        experiment_id,
        count(*) as exposure_count
    from {{ ref('fct_exposures') }}
    where
        not is_holdback
        and not is_bot
        and variation_id is not null
        {%- if var('crossovers') == 'exclude' %}
        and variation_count = 1
        {%- endif %}
        {%- if var('visitor_counting') == 'full_stack' %}
        and decision_count > 0
        {%- endif %}
    group by experiment_id
),

arms as (
    select
        experiment_id,
        metric_name,
        sum(visitors) as visitors
    from {{ ref('metric_summary') }}
    where segment_name = 'all'
    group by experiment_id, metric_name
)

select
    arms.experiment_id,
    arms.metric_name,
    arms.visitors,
    exposures.exposure_count
from arms
left join exposures on arms.experiment_id = exposures.experiment_id
where arms.visitors is distinct from exposures.exposure_count
