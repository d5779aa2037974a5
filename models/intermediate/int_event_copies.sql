{{ optimizely_e3.visitor_config() }}

with

events as (
    {{ optimizely_e3.exported_events([
        'table_name', 'visitor_id', 'event_id', 'occurred_at', 'processed_at', '_export_date',
        '_file_id', '_file_row',
    ]) }}
),

-- Duplicates are rare: finding them first and ranking only those is far cheaper than ranking every
-- event.
repeated_ids as (
    select
        table_name,
        event_id
    from events
    group by table_name, event_id
    having count(*) > 1
),

ranked_copies as (
    select
        events.*,
        row_number() over (
            partition by events.table_name, events.visitor_id, events.event_id
            -- Not the load: the order must be that of a rebuild from nothing.
            order by
                events._export_date,
                events.processed_at nulls last,
                events.occurred_at nulls last,
                events._file_id,
                events._file_row
        ) as copy_number,
        count(*) over (
            partition by events.table_name, events.visitor_id, events.event_id
        ) as copy_count
    from events
    inner join repeated_ids
        on
            events.table_name = repeated_ids.table_name
            and events.event_id = repeated_ids.event_id
),

final as (
    select
        table_name,
        visitor_id,
        event_id,
        copy_number,
        copy_count,
        _export_date as export_date,
        _file_id,
        _file_row
    from ranked_copies
    where copy_count > 1
)

select * from final
