{{ optimizely_e3.visitor_config() }}

{#- An element of `experiments` that attributes its conversion. -#}
{%- set attributes =
    optimizely_e3.names_experiment() ~ ' and not ' ~ optimizely_e3.is_held_back()
%}
{%- set attributes_here = attributes ~ ' and element.experiment_id = attributions.experiment_id' %}
{%- set of_conversion = [
    'event_id', 'visitor_id', 'session_key', 'entity_id', 'event_name', 'event_type', 'experiments',
    'revenue_cents', 'value', 'quantity', 'is_bot', 'occurred_at',
] %}
{%- set is_derived %}
exposures.is_attributable
        -- At the same instant counts: clients send decision and conversion in one batch.
        and conversions.occurred_at >= exposures.exposed_at
        and coalesce(conversions.occurred_at <= exposures.attributed_until, true)
{%- endset %}

with

conversions as (
    {{ optimizely_e3.rows_to_rebuild(ref('fct_conversions')) }}
),

exposures as (
    select
        experiment_id,
        visitor_id,
        variation_id,
        exposed_at,
        {{ optimizely_e3.has_decision('rebuilt') }} and not is_holdback as is_attributable,
        {{ optimizely_e3.attribution_ends_at('exposed_at') }} as attributed_until
    from ({{ optimizely_e3.rows_to_rebuild(ref('fct_exposures')) }}) as rebuilt
),

derived as (
    select
        {%- for column in of_conversion %}
        conversions.{{ column }},
        {%- endfor %}
        exposures.experiment_id,
        exposures.variation_id,
        exposures.exposed_at,
        true as is_derived,
        true as is_attributable
    from conversions
    inner join exposures on conversions.visitor_id = exposures.visitor_id
    where {{ is_derived }}
),

-- One row per conversion × experiment that the vendor attributes it to. No join brings what both
-- say together: the vendor's word stands in the conversion's own row.
vendor as (
    select
        {%- for column in of_conversion %}
        {{ column }},
        {%- endfor %}
        {{ optimizely_e3.each_element(
            optimizely_e3.distinct_over('experiments', 'element.experiment_id', attributes)
        ) }} as experiment_id
    from conversions
),

vendor_only as (
    select
        {%- for column in of_conversion %}
        conversions.{{ column }},
        {%- endfor %}
        conversions.experiment_id,
        cast(null as string) as variation_id,
        exposures.exposed_at,
        false as is_derived,
        coalesce(exposures.is_attributable, false) as is_attributable
    from vendor as conversions
    left join exposures
        on
            conversions.visitor_id = exposures.visitor_id
            and conversions.experiment_id = exposures.experiment_id
    where not coalesce({{ is_derived }}, false)
),

attributions as (
    select * from derived
    union all
    select * from vendor_only
),

compared as (
    select
        *,
        coalesce({{ optimizely_e3.any_element('experiments', attributes_here) }}, false)
            as is_vendors,
        {{ optimizely_e3.least_over(
            'experiments', "nullif(element.variation_id, '')", attributes_here
        ) }} as vendor_variation_id
    from attributions
),

final as (
    select
        event_id,
        experiment_id,
        visitor_id,
        case when is_derived then variation_id else vendor_variation_id end as variation_id,
        vendor_variation_id,
        case
            when not is_derived then 'vendor'
            when is_vendors then 'both'
            else 'derived'
        end as attribution_source,
        case
            when not is_derived and not is_attributable then 'no_decision_seen'
            when not is_derived and occurred_at < exposed_at then 'before_exposure'
            when not is_derived then 'extra'
            when
                not is_vendors
                and {{ optimizely_e3.any_element('experiments', optimizely_e3.names_experiment()) }}
                then 'missing'
            when not is_vendors then 'not_filled'
            -- No variation is no '' either: staging reads that as NULL.
            when coalesce(variation_id, '') = coalesce(vendor_variation_id, '') then 'agree'
            else 'other_variation'
        end as agreement,
        session_key,
        entity_id,
        event_name,
        event_type,
        revenue_cents,
        value,
        quantity,
        is_bot,
        {{ optimizely_e3.seconds_between('exposed_at', 'occurred_at') }} as seconds_since_exposure,
        occurred_at
    from compared
)

select * from final
