{#
    The specification's own measures, by its own definition: straight from the staging tables, with no model in
    between. One thing is added, which the specification takes for granted: an event that was exported twice counts
    once, as it was exported first.

    A measure is of one experiment and an inclusive window on `timestamp` in epoch milliseconds: the vars
    `measures_from_ms` and `measures_until_ms`, without limits by default.
#}

{% macro is_in_measured_window(timestamp) %}
    {%- set from_ms = var('measures_from_ms', -9223372036854775807) -%}
    {%- set until_ms = var('measures_until_ms', 9223372036854775807) -%}
    {{ optimizely_e3.epoch_milliseconds(timestamp) }} between {{ from_ms }} and {{ until_ms }}
{%- endmacro %}

{% macro specified_decisions() %}
    {#- Decisions without holdback. Only visitors are counted in them, so copies make no difference. -#}
    select
        exported.experiment_id,
        exported.visitor_id,
        cast(null as string) as entity_id,
        cast(null as bigint) as revenue,
        cast(null as double) as value
    from {{ source('optimizely_raw', 'decisions') }} as exported
    where
        exported.experiment_id <> ''
        and not coalesce(exported.is_holdback, false)
        and {{ optimizely_e3.is_in_measured_window('exported.timestamp') }}
{%- endmacro %}

{% macro specified_attributions() %}
    {#- Conversions that name an experiment without holdback, once for each experiment they name. -#}
    select
        element.experiment_id,
        exported.visitor_id,
        exported.entity_id,
        exported.revenue,
        exported.value
    from {{ source('optimizely_raw', 'conversions') }} as exported
    {{ optimizely_e3.cross_join_elements('exported.experiments') }}
    where
        element.experiment_id <> ''
        and not coalesce(element.is_holdback, false)
        and {{ optimizely_e3.is_in_measured_window('exported.timestamp') }}
        and not exists (
            select 1
            from ({{ optimizely_e3.copied_conversions() }}) as copies
            where copies._file_id = exported._file_id and copies._file_row = exported._file_row
        )
    group by
        exported._file_id,
        exported._file_row,
        element.experiment_id,
        exported.visitor_id,
        exported.entity_id,
        exported.revenue,
        exported.value
{%- endmacro %}

{% macro copied_conversions() %}
    {#- Rows that repeat an earlier one: which row of which file. -#}
    select
        _file_id,
        _file_row
    from (
        select
            _file_id,
            _file_row,
            row_number() over (
                partition by nullif(visitor_id, ''), lower(uuid)
                order by
                    _export_date,
                    process_timestamp nulls last,
                    timestamp nulls last,
                    _file_id,
                    _file_row
            ) as occurrence
        from {{ source('optimizely_raw', 'conversions') }}
        where
            lower(uuid) in (
                select lower(uuid)
                from {{ source('optimizely_raw', 'conversions') }}
                where uuid <> ''
                group by lower(uuid)
                having count(*) > 1
            )
    ) as numbered
    where occurrence > 1
{%- endmacro %}
