{#
    Which events match which parts of metrics. Events differ in few ways that a declaration can see,
    so the comparisons are made once for each kind of event, and events are looked up. Only parts
    that ask for tags look at every event.

    `events` is the text of a select with `event_name`, `entity_id`, `event_type`, `tags` and
    `is_touched`. It is read several times, and is no common table, for DuckDB would hold all of it
    in memory.
#}

{% macro kinds_of_events(events) %}
    {#-
        Common tables of the kinds of event in `events` and of what they match: `parts`, with the
        columns of stg_registry__metric_events, `metric_number` and `is_changed`, → `looked_up`.
        `part_number` stands for a part and its min_count. `is_shared`: events of the kind may match
        another part of the same clause, too.
    -#}
kinds_of_event as (
    select
        events.event_name,
        events.entity_id,
        events.event_type,
        row_number() over (
            order by
                events.event_name nulls last, events.entity_id nulls last,
                events.event_type nulls last
        ) as kind_number
    from ({{ events }}) as events
    group by events.event_name, events.entity_id, events.event_type
    having {{ optimizely_e3.is_computed_once() }}
),

matching_kinds as (
    select
        kinds_of_event.*,
        parts.metric_number,
        parts.clause,
        parts.part,
        parts.min_count,
        parts.is_changed,
        parts.tag_name,
        parts.tag_value
    from kinds_of_event
    inner join parts
        on
            parts.match_value = case parts.match_field
                when 'event_name' then kinds_of_event.event_name
                when 'entity_id' then kinds_of_event.entity_id
                else kinds_of_event.event_type
            end
),

looked_up as (
    select
        event_name,
        entity_id,
        event_type,
        kind_number,
        metric_number,
        clause,
        part,
        min_count,
        is_changed,
        dense_rank() over (order by metric_number, clause, part, min_count) as part_number,
        -- A row without a tag lets every event of this kind pass.
        count(tag_name) = count(*) as needs_tags,
        count(*) over (partition by kind_number, metric_number, clause) > 1 as is_shared
    from matching_kinds
    group by
        event_name, entity_id, event_type, kind_number, metric_number, clause, part, min_count,
        is_changed
)
{%- endmacro %}

{% macro matching_events(events, columns, condition='true') %}
    {#-
        Select of one row per event × part: the event's `columns`, which must tell events apart
        where a part asks for tags, and the part's metric_number, part, min_count and part_number.
        `condition` narrows `looked_up`.
    -#}
    {%- set lookup %}
    from ({{ events }}) as events
    inner join looked_up
        on
            events.event_name is not distinct from looked_up.event_name
            and events.entity_id is not distinct from looked_up.entity_id
            and events.event_type is not distinct from looked_up.event_type
            and (events.is_touched or looked_up.is_changed)
    {%- endset %}
    {%- set selected %}
        {%- for column in columns %}
        events.{{ column }},
        {%- endfor %}
        looked_up.metric_number,
        looked_up.part,
        looked_up.min_count,
        looked_up.part_number
    {%- endset -%}
    select
        {{- selected }}
    {{- lookup }}
    where not looked_up.needs_tags and {{ condition }}
    union all
    select distinct
        {{- selected }}
    {{- lookup }}
    inner join matching_kinds
        on
            looked_up.kind_number = matching_kinds.kind_number
            and looked_up.metric_number = matching_kinds.metric_number
            and looked_up.clause = matching_kinds.clause
            and looked_up.part = matching_kinds.part
    where
        looked_up.needs_tags
        and {{ condition }}
        and events.tags[matching_kinds.tag_name] is not null
        and coalesce(events.tags[matching_kinds.tag_name] = matching_kinds.tag_value, true)
{%- endmacro %}

{% macro countable_conversions() %}
    {#- Select of the conversions of a model by metric that may count for an experiment. -#}
    select *
    from ({{ optimizely_e3.rows_to_rebuild(ref('fct_conversions')) }}) as conversions
    where visitor_id is not null and occurred_at is not null and not is_bot
{%- endmacro %}

{% macro attributed_events() %}
    {#-
        Select of the conversions × experiments that the vendor attributes; several elements may name
        one experiment.
    -#}
    select distinct
        visitor_id,
        event_id,
        experiment_id
    from ({{ optimizely_e3.rows_to_rebuild(ref('int_vendor_attributions')) }}) as attributions
    where not is_holdback
{%- endmacro %}
