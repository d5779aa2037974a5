{{ optimizely_e3.visitor_config() }}

with

exported_decisions as (
    {{ optimizely_e3.rows_to_rebuild(ref('stg_optimizely__decisions')) }}
),

exported_conversions as (
    {{ optimizely_e3.rows_to_rebuild(ref('stg_optimizely__conversions')) }}
),

kept_decisions as (
    {{ optimizely_e3.rows_to_rebuild(ref('fct_decisions')) }}
),

kept_conversions as (
    {{ optimizely_e3.rows_to_rebuild(ref('fct_conversions')) }}
),

exported_ids as (
    select
        'decisions' as table_name,
        event_id
    from exported_decisions
    union all
    select
        'conversions' as table_name,
        event_id
    from exported_conversions
),

-- Duplicates are rare: whole rows are read only of those that may be one.
repeated_ids as (
    select
        table_name,
        event_id
    from exported_ids
    group by table_name, event_id
    having count(*) > 1
),

copies as (
    select
        repeated_ids.table_name,
        exported_decisions.visitor_id,
        exported_decisions.event_id,
        exported_decisions._export_date as export_date,
        exported_decisions.occurred_at,
        exported_decisions.campaign_id,
        exported_decisions.experiment_id,
        exported_decisions.variation_id,
        exported_decisions.is_holdback,
        exported_decisions.attributes,
        cast(null as string) as entity_id,
        cast(null as string) as event_name,
        cast(null as bigint) as revenue_cents,
        cast(null as double) as value,
        cast(null as bigint) as quantity,
        null as experiments
    from exported_decisions
    inner join repeated_ids
        on
            exported_decisions.event_id = repeated_ids.event_id
            and repeated_ids.table_name = 'decisions'
    union all
    select
        repeated_ids.table_name,
        exported_conversions.visitor_id,
        exported_conversions.event_id,
        exported_conversions._export_date as export_date,
        exported_conversions.occurred_at,
        cast(null as string) as campaign_id,
        cast(null as string) as experiment_id,
        cast(null as string) as variation_id,
        cast(null as boolean) as is_holdback,
        exported_conversions.attributes,
        exported_conversions.entity_id,
        exported_conversions.event_name,
        exported_conversions.revenue_cents,
        exported_conversions.value,
        exported_conversions.quantity,
        exported_conversions.experiments
    from exported_conversions
    inner join repeated_ids
        on
            exported_conversions.event_id = repeated_ids.event_id
            and repeated_ids.table_name = 'conversions'
),

duplicates as (
    select
        table_name,
        visitor_id,
        event_id,
        count(*) as copy_count,
        min(export_date) as first_export_date,
        max(export_date) as last_export_date
    from copies
    group by table_name, visitor_id, event_id
    having count(*) > 1
),

-- Not a count of distinct values by column: that passes over NULLs.
contents as (
    select distinct
        table_name,
        visitor_id,
        event_id,
        occurred_at,
        campaign_id,
        experiment_id,
        variation_id,
        is_holdback,
        attributes,
        entity_id,
        event_name,
        revenue_cents,
        value,
        quantity,
        experiments
    from copies
),

content_counts as (
    select
        table_name,
        visitor_id,
        event_id,
        count(*) as content_count
    from contents
    group by table_name, visitor_id, event_id
),

kept as (
    select
        'decisions' as table_name,
        visitor_id,
        event_id,
        export_date
    from kept_decisions
    union all
    select
        'conversions' as table_name,
        visitor_id,
        event_id,
        export_date
    from kept_conversions
),

final as (
    select
        duplicates.table_name,
        duplicates.visitor_id,
        duplicates.event_id,
        duplicates.copy_count,
        kept.export_date as kept_export_date,
        duplicates.first_export_date,
        duplicates.last_export_date,
        duplicates.first_export_date <> duplicates.last_export_date as is_across_days,
        content_counts.content_count > 1 as has_differences
    from duplicates
    inner join content_counts
        on
            duplicates.table_name = content_counts.table_name
            and duplicates.event_id = content_counts.event_id
            and duplicates.visitor_id is not distinct from content_counts.visitor_id
    left join kept
        on
            duplicates.table_name = kept.table_name
            and duplicates.event_id = kept.event_id
            and duplicates.visitor_id is not distinct from kept.visitor_id
)

select * from final
