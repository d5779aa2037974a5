{%- set deciding = {
    'always_valid': ['running_p_value', 'lift_cs'],
    'fixed_horizon': ['p_value', 'lift_ci'],
}[var('decision_method')] %}
{%- set p_value, interval = deciding %}
{%- set corrected = {
    'none': p_value,
    'holm': 'p_value_holm',
    'benjamini_hochberg': 'q_value',
}[var('correction')] %}
{%- set error = '(1e0 - cast(' ~ var('confidence_level') ~ ' as double))' %}

with

inference as (
    select * from {{ ref('int_inference') }}
),

-- Whoever looks every day has seen the smallest of the p-values so far.
running as (
    select
        inference.*,
        case
            when reason is null
                then min(p_value_always_valid) over (
                    partition by
                        experiment_id, metric_name, variation_id, segment_name, segment_value,
                        counted_by, days_since_exposure
                    order by day
                )
        end as running_p_value
    from inference
),

-- A family: what is decided together. A p-value that is NULL decides nothing.
ranked as (
    select
        *,
        row_number() over (
            partition by {{ optimizely_e3.family() }}, {{ p_value }} is null
            order by {{ p_value }}, metric_name, variation_id, segment_value
        ) as p_rank,
        count({{ p_value }}) over (partition by {{ optimizely_e3.family() }}) as family_size
    from running
),

adjusted as (
    select
        *,
        case
            when {{ p_value }} is not null
                then least(1e0, min({{ p_value }} * family_size / p_rank) over (
                    partition by {{ optimizely_e3.family() }}, {{ p_value }} is null
                    order by p_rank
                    rows between current row and unbounded following
                ))
        end as q_value,
        case
            when {{ p_value }} is not null
                then least(1e0, max({{ p_value }} * (family_size - p_rank + 1)) over (
                    partition by {{ optimizely_e3.family() }}, {{ p_value }} is null
                    order by p_rank
                    rows between unbounded preceding and current row
                ))
        end as p_value_holm
    from ranked
),

final as (
    select
        *,
        minimum_detectable_effect / nullif(abs(baseline_mean), 0e0) as minimum_detectable_lift,
        case
            when reason = 'baseline' then null
            when reason is not null then 'not_enough_data'
            when {{ corrected }} > {{ error }} or difference = 0 then 'inconclusive'
            when (difference > 0) = (direction = 'increase') then 'better'
            else 'worse'
        end as verdict,
        '{{ var("decision_method") }}
        {%- if var("correction") != "none" %}, {{ var("correction") }}{% endif %}' as decided_by,
        case
            when role <> 'guardrail' then null
            when direction = 'increase' then {{ interval }}_lower > -non_inferiority_margin
            else {{ interval }}_upper < non_inferiority_margin
        end as is_non_inferior
    from adjusted
)

select * from final
