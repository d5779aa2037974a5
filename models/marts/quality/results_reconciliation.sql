{#- What can make two counts differ: columns of int_known_differences, and what they count. -#}
{%- set kinds = [
    ('crossover_visitors', 'visitors in more than one variation'),
    ('visitors_counted_elsewhere', 'visitors of the variation who count for another one'),
    ('bot_visitors', 'visitors flagged as bots'),
    ('vendor_only_visitors', 'visitors that only the vendor attributes, without a decision'),
    ('visitors_without_variation', 'visitors without a variation'),
    ('late_decisions', 'decisions exported under a later day than they happened'),
    ('bot_conversions', 'conversions flagged as bots'),
    ('other_variation', 'conversions that the vendor gives to another variation'),
    ('missing', 'conversions that we attribute and the vendor gives to other experiments only'),
    ('not_filled', 'conversions that we attribute and the vendor to nothing'),
    ('no_decision_seen', 'conversions that the vendor attributes, without a decision'),
    ('before_exposure', 'conversions that the vendor attributes, before the exposure'),
    ('extra', 'conversions that the vendor attributes after the exposure and we do not'),
    ('beyond_window', 'conversions beyond the attribution window'),
    ('late_conversions', 'conversions exported under a later day than they happened'),
    ('missing_days', 'export days missing'),
    ('incomplete_days', 'export days landed in part'),
    ('pruned_days', 'export days pruned'),
] %}

with

results as (
    select * from {{ ref('stg_registry__vendor_results') }}
),

modes as (
    select * from {{ ref('int_counting_modes') }}
),

measures as (
    select * from {{ ref('int_reconciled_measures') }}
),

known_differences as (
    select * from {{ ref('int_known_differences') }}
),

facts as (
    select
        *,
        concat_ws(
            '; ',
            case when visitors = 0 then 'no visitor was exposed to it' end,
            case when conversions = 0 and event_key is not null then 'nobody did this event' end,
            {%- for column, what in kinds %}
            case when {{ column }} > 0 then '{{ what }}: ' || cast({{ column }} as string) end,
            {%- endfor %}
            'landed up to ' || cast(landed_until as string)
        ) as reasons
    from known_differences
),

counted as (
    select
        results.experiment_id,
        results.variation_id,
        results.event_key,
        results.measure,
        modes.visitor_counting,
        modes.crossovers,
        modes.attribution,
        modes.bots,
        modes.is_configured,
        results.vendor_value,
        -- What cannot be counted is unknown, what nobody did is 0.
        case
            when
                results.measure in (
                    'unique_conversions', 'total_conversions', 'revenue_cents', 'value'
                )
                and results.event_key is not null
                or results.measure = 'visitors'
                and results.event_key is null
                then coalesce(measures.amount, cast(0 as double))
        end as our_value
    from results
    cross join modes
    left join measures
        on
            results.experiment_id = measures.experiment_id
            and results.variation_id is not distinct from measures.variation_id
            and results.event_key is not distinct from measures.event_key
            and results.measure = measures.measure
            and modes.visitor_counting = measures.visitor_counting
            and modes.crossovers = measures.crossovers
            and modes.attribution = measures.attribution
            and modes.bots = measures.bots
),

compared as (
    select
        *,
        our_value - vendor_value as difference,
        -- Sums of doubles depend on the order of their rows: a billionth is no difference.
        abs(vendor_value) * 1e-9 as tolerance,
        min(abs(our_value - vendor_value)) over (
            partition by experiment_id, variation_id, event_key, measure, vendor_value
        ) as least_difference
    from counted
),

final as (
    select
        compared.experiment_id,
        compared.variation_id,
        compared.event_key,
        compared.measure,
        compared.visitor_counting,
        compared.crossovers,
        compared.attribution,
        compared.bots,
        compared.our_value,
        compared.vendor_value,
        compared.difference,
        compared.difference / nullif(compared.vendor_value, 0) as relative_difference,
        abs(compared.difference) * 10 <= abs(compared.vendor_value) as is_within_threshold,
        coalesce(
            abs(compared.difference) <= compared.least_difference + compared.tolerance, false
        ) as is_closest,
        compared.is_configured,
        case
            when compared.difference is null
                then 'this row of the seed has a mistake: dbt test --select vendor_results'
            when abs(compared.difference) > compared.tolerance then facts.reasons
        end as reasons
    from compared
    left join facts
        on
            compared.experiment_id = facts.experiment_id
            and compared.variation_id is not distinct from facts.variation_id
            and compared.event_key is not distinct from facts.event_key
)

select * from final
