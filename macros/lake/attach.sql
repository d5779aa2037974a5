{#
    Sources from a lake, which `loader pull --lake` fills: before anything is built, they are made
    to stand for its newest version, and stay so until the next build. The rows stay in the lake.
#}

{% macro lake() %}
    {#- Address of the lake, without a final slash; empty for none. -#}
    {{- return((var('lake', none) or env_var('OPTIMIZELY_E3_LAKE', '')).rstrip('/')) -}}
{% endmacro %}

{% macro attach_lake() %}
    {%- set address = optimizely_e3.lake() -%}
    {%- do optimizely_e3.check_landed_elsewhere(address) -%}
    {%- if address -%}
        {%- do optimizely_e3.attach_version(address) -%}
    {%- endif -%}
{% endmacro %}

{% macro check_landed_elsewhere(address) %}
    {#- Rows of a warehouse are not to be hidden by a lake's, nor an old version taken for new. -#}
    {%- if target.type == 'duckdb' -%}
        {%- set landed = source('optimizely_raw', 'decisions') -%}
        {%- set relation = adapter.get_relation(
            landed.database, landed.schema, landed.identifier
        ) -%}
        {%- if relation is not none and relation.is_view != (address != '') -%}
            {%- do exceptions.raise_compiler_error(
                'This warehouse has rows of its own, and the lake ' ~ address
                ~ ' would hide them: give another warehouse, or take OPTIMIZELY_E3_LAKE away.'
                if address else
                'This warehouse is built from a lake: set OPTIMIZELY_E3_LAKE to its address.'
            ) -%}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}

{% macro attach_version(address) %}
    {%- set folders = {} -%}
    {%- for row in run_query(optimizely_e3.newest_version(address)) -%}
        {%- do folders.update({row['table_name']: address ~ '/' ~ row['folder']}) -%}
    {%- endfor -%}
    {%- if not folders -%}
        {%- do exceptions.raise_compiler_error(
            'Nothing is landed in the lake ' ~ address ~ ' yet: run `loader pull --lake` first.'
        ) -%}
    {%- endif -%}
    {%- set landed = optimizely_e3.lake_sources() -%}
    {%- for schema in landed | map(attribute='schema') | unique -%}
        {%- do run_query('create schema if not exists ' ~ schema) -%}
    {%- endfor -%}
    {%- for source in landed -%}
        {%- if source.name in folders -%}
            {%- do optimizely_e3.attach_folder(source, folders[source.name]) -%}
        {%- else -%}
            {%- set days = run_query(
                optimizely_e3.landed_folders(folders['lake_days'], source.name)
            ) -%}
            {%- do optimizely_e3.attach_days(source, address, days) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- do adapter.commit() if target.type == 'duckdb' -%}
{% endmacro %}

{% macro lake_sources() %}
    {#- What the loader lands: every source of this project. -#}
    {{- return(
        graph.sources.values() | selectattr('package_name', 'equalto', 'optimizely_e3')
        | sort(attribute='unique_id') | list
    ) -}}
{% endmacro %}

{# Select of the newest version's tables, and the folder of each; no row where there is none. #}
{% macro newest_version(address) %}
    {{- return(adapter.dispatch('newest_version', 'optimizely_e3')(address)) -}}
{% endmacro %}

{% macro default__newest_version(address) %}
    {#- A pattern that finds no file is an error. -#}
    {%- set commits = address ~ '/commits/*.json' -%}
    {%- set found = run_query("select count(*) from glob('" ~ commits ~ "')").columns[0][0] -%}
    {%- set rows -%}
        read_json(
            '{{ commits }}', format = 'newline_delimited',
            columns = {version: 'bigint', table_name: 'varchar', folder: 'varchar'}
        )
    {%- endset -%}
    {{- return(
        'select table_name, folder from ' ~ rows ~ ' where version = (select max(version) from '
        ~ rows ~ ')'
        if found else "select '' as table_name, '' as folder where false"
    ) -}}
{% endmacro %}

{% macro spark__newest_version(address) %}
    {%- if '://' not in address and not address.startswith('/') -%}
        {%- do exceptions.raise_compiler_error(
            'Spark would look for the lake ' ~ address ~ ' in a folder of its own: give its whole '
            ~ 'path, from / on.'
        ) -%}
    {%- endif -%}
    {%- set rows = 'json.`' ~ address ~ '/commits`' -%}
    {{- return(
        'select table_name, folder from ' ~ rows ~ ' where version = (select max(version) from '
        ~ rows ~ ')'
    ) -}}
{% endmacro %}

{# Select of the days of a table that have rows, and the folder of each below the lake. #}
{% macro landed_folders(lake_days, table_name) %}
    {{- return(
        "select cast(export_date as string) as export_date, folder from "
        ~ optimizely_e3.parquet_folder(lake_days) ~ " where table_name = '" ~ table_name
        ~ "' order by export_date"
    ) -}}
{% endmacro %}

{% macro parquet_folder(folder) %}
    {{- return(adapter.dispatch('parquet_folder', 'optimizely_e3')(folder)) -}}
{% endmacro %}

{% macro default__parquet_folder(folder) %}
    {{- return("read_parquet('" ~ folder ~ "*.parquet')") -}}
{% endmacro %}

{% macro spark__parquet_folder(folder) %}
    {{- return('parquet.`' ~ folder ~ '`') -}}
{% endmacro %}

{# Makes a source of one folder: a table of the ledger, or of names. #}
{% macro attach_folder(source, folder) %}
    {{- return(adapter.dispatch('attach_folder', 'optimizely_e3')(source, folder)) -}}
{% endmacro %}

{% macro default__attach_folder(source, folder) %}
    {%- set rows = optimizely_e3.parquet_folder(folder) -%}
    {%- set columns = [] -%}
    {%- for column in run_query('describe select * from ' ~ rows) -%}
        {%- do columns.append(
            optimizely_e3.time_of_lake(column['column_name'], column['column_type'])
        ) -%}
    {%- endfor -%}
    {%- do run_query(
        'create or replace view ' ~ source.schema ~ '.' ~ source.name
        ~ ' as select ' ~ columns | join(', ') ~ ' from ' ~ rows
    ) -%}
{% endmacro %}

{% macro spark__attach_folder(source, folder) %}
    {%- set table = source.schema ~ '.' ~ source.name -%}
    {%- do run_query('drop table if exists ' ~ table) -%}
    {%- do run_query("create table " ~ table ~ " using parquet location '" ~ folder ~ "'") -%}
{% endmacro %}

{# Makes a source of many folders, one a day. #}
{% macro attach_days(source, address, days) %}
    {{- return(adapter.dispatch('attach_days', 'optimizely_e3')(source, address, days)) -}}
{% endmacro %}

{% macro default__attach_days(source, address, days) %}
    {%- set files, columns = [], [] -%}
    {%- for day in days -%}
        {%- do files.append("'" ~ address ~ '/' ~ day['folder'] ~ "*.parquet'") -%}
    {%- endfor -%}
    {%- for column in source.columns.values() -%}
        {%- do columns.append(
            optimizely_e3.time_of_lake(column.name, column.data_type) if files
            else 'cast(null as ' ~ column.data_type ~ ') as "' ~ column.name ~ '"'
        ) -%}
    {%- endfor -%}
    {%- do run_query(
        'create or replace view ' ~ source.schema ~ '.' ~ source.name ~ ' as select '
        ~ columns | join(', ')
        ~ (
            ' from read_parquet([' ~ files | join(', ') ~ '], hive_partitioning = false)'
            if files else ' where false'
        )
    ) -%}
{% endmacro %}

{% macro spark__attach_days(source, address, days) %}
    {%- set table = source.schema ~ '.' ~ source.name -%}
    {%- set columns = [] -%}
    {%- for column in source.columns.values() -%}
        {%- do columns.append('`' ~ column.name ~ '` ' ~ optimizely_e3.spark_type(column.data_type)) -%}
    {%- endfor -%}
    {%- do run_query('drop table if exists ' ~ table) -%}
    {#- With a location it is not the catalog's own: dropping it leaves the files alone. -#}
    {%- do run_query(
        'create table ' ~ table ~ ' (' ~ columns | join(', ') ~ ') using parquet'
        ~ " partitioned by (_export_date) location '" ~ address ~ '/' ~ source.name ~ "'"
    ) -%}
    {%- for some in days | batch(100) -%}
        {%- set partitions = [] -%}
        {%- for day in some -%}
            {%- do partitions.append(
                "partition (_export_date = '" ~ day['export_date'] ~ "') location '"
                ~ address ~ '/' ~ day['folder'] ~ "'"
            ) -%}
        {%- endfor -%}
        {%- do run_query('alter table ' ~ table ~ ' add ' ~ partitions | join(' ')) -%}
    {%- endfor -%}
{% endmacro %}

{% macro time_of_lake(name, data_type) %}
    {#- Select expression of a lake's column: there, times are instants; here they are UTC. -#}
    {{- return(
        "timezone('UTC', \"" ~ name ~ '") as "' ~ name ~ '"'
        if data_type.startswith('TIMESTAMP') else '"' ~ name ~ '"'
    ) -}}
{% endmacro %}

{% macro spark_type(data_type) %}
    {#- A type as the specification writes it, in Spark's words. -#}
    {%- if data_type.endswith('[]') -%}
        {%- set element = optimizely_e3.spark_type(data_type[:-2]) -%}
        {{- return('array<' ~ element ~ '>') -}}
    {%- elif data_type.startswith('STRUCT(') -%}
        {%- set fields = [] -%}
        {%- for field in data_type[7:-1].split(', ') -%}
            {%- set name, kind = field.replace('"', '').split(' ') -%}
            {%- do fields.append(name ~ ': ' ~ optimizely_e3.spark_type(kind)) -%}
        {%- endfor -%}
        {{- return('struct<' ~ fields | join(', ') ~ '>') -}}
    {%- elif data_type.startswith('MAP(') -%}
        {%- set key, item = data_type[4:-1].split(', ') -%}
        {{- return('map<' ~ optimizely_e3.spark_type(key) ~ ', ' ~ optimizely_e3.spark_type(item) ~ '>') -}}
    {%- endif -%}
    {{- return('string' if data_type == 'VARCHAR' else data_type.lower()) -}}
{% endmacro %}
