{{ optimizely_e3.visitor_config() }}

with

copies as (
    {{ optimizely_e3.rows_to_rebuild(ref('int_event_copies')) }}
),

duplicates as (
    select
        table_name,
        visitor_id,
        event_id,
        count(*) as copy_count,
        min(case when copy_number = 1 then export_date end) as kept_export_date,
        min(export_date) as first_export_date,
        max(export_date) as last_export_date
    from copies
    group by table_name, visitor_id, event_id
),

-- Not a count of distinct values by column: that passes over NULLs.
contents as (
    select
        copies.table_name,
        copies.visitor_id,
        copies.event_id,
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
    from ({{ optimizely_e3.rows_to_rebuild(ref('stg_optimizely__decisions')) }})
        as exported_decisions
    inner join copies
        on
            exported_decisions._file_id = copies._file_id
            and exported_decisions._file_row = copies._file_row
    -- Distinct, over both.
    union
    select
        copies.table_name,
        copies.visitor_id,
        copies.event_id,
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
    from ({{ optimizely_e3.rows_to_rebuild(ref('stg_optimizely__conversions')) }})
        as exported_conversions
    inner join copies
        on
            exported_conversions._file_id = copies._file_id
            and exported_conversions._file_row = copies._file_row
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

final as (
    select
        duplicates.table_name,
        duplicates.visitor_id,
        duplicates.event_id,
        duplicates.copy_count,
        duplicates.kept_export_date,
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
)

select * from final
