{#
    The specification's own measures, by its own definition: straight from the staging tables, with
    no model in between. One thing is added, which the specification takes for granted: an event
    that was exported twice counts once, as it was exported first.

    A measure is of one experiment and an inclusive window on `timestamp` in epoch milliseconds: the
    vars `measures_from_ms` and `measures_until_ms`, without limits by default.
#}

{% macro is_in_measured_window(timestamp) %}
    {%- set from_ms = var('measures_from_ms', -9223372036854775807) -%}
    {%- set until_ms = var('measures_until_ms', 9223372036854775807) -%}
    {{ optimizely_e3.epoch_milliseconds(timestamp) }} between {{ from_ms }} and {{ until_ms }}
{%- endmacro %}

{% macro specified_decisions() %}
    {#- Decisions without holdback. -#}
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
        and {{ optimizely_e3.is_no_copy(source('optimizely_raw', 'decisions')) }}
{%- endmacro %}

{% macro specified_attributions() %}
    {#-
        Conversions that name an experiment without holdback, once for each experiment they name.
    -#}
    select
        element.experiment_id,
        visitor_id,
        entity_id,
        revenue,
        value
    from (
        select
            exported._file_id,
            exported._file_row,
            exported.visitor_id,
            exported.entity_id,
            exported.revenue,
            case when abs(exported.value) < 1e150 then exported.value end as value,
            {{ optimizely_e3.each_element('exported.experiments') }} as element
        from {{ source('optimizely_raw', 'conversions') }} as exported
        where
            {{ optimizely_e3.is_in_measured_window('exported.timestamp') }}
            and {{ optimizely_e3.is_no_copy(source('optimizely_raw', 'conversions')) }}
    ) as elements
    where element.experiment_id <> '' and not coalesce(element.is_holdback, false)
    group by
        _file_id, _file_row, element.experiment_id, visitor_id, entity_id, revenue, value
{%- endmacro %}

{% macro is_no_copy(relation) %}
    {#-
        Whether the row `exported` of a staging table is the first that its visitor and uuid were
        exported as.
    -#}
    not exists (
        select 1
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
            from {{ relation }}
            where
                lower(uuid) in (
                    select lower(uuid)
                    from {{ relation }}
                    where uuid <> ''
                    group by lower(uuid)
                    having count(*) > 1
                )
        ) as numbered
        where
            numbered.occurrence > 1
            and numbered._file_id = exported._file_id
            and numbered._file_row = exported._file_row
    )
{%- endmacro %}
