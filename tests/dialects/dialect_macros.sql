-- What the engines spell differently means the same on both. Returns the macros that do not.
{%- set spaced = optimizely_e3.spaced_elements('numbers', '2') %}
{%- set days = optimizely_e3.dates_between('first_date', 'last_date') %}

with

examples as (
    select
        cast('2023-10-09 01:02:03.004' as timestamp) as earlier,
        cast('2023-10-10 01:02:03.254' as timestamp) as later
),

checks as (
    select
        'epoch_milliseconds' as macro_name,
        {{ optimizely_e3.epoch_milliseconds('earlier') }} = 1696813323004 as is_right
    from examples
    union all
    select
        'epoch_microseconds' as macro_name,
        {{ optimizely_e3.epoch_microseconds('earlier') }} = 1696813323004000 as is_right
    from examples
    union all
    select
        'seconds_between' as macro_name,
        {{ optimizely_e3.seconds_between('earlier', 'later') }} = 86400.25
        and {{ optimizely_e3.seconds_between('later', 'earlier') }} = -86400.25 as is_right
    from examples
    union all
    select
        'any_element' as macro_name,
        {{ optimizely_e3.any_element("split('a,b', ',')", "element = 'b'") }}
        and not {{ optimizely_e3.any_element("split('a,b', ',')", "element = 'c'") }} as is_right
    from examples
    union all
    select
        'count_elements' as macro_name,
        {{ optimizely_e3.count_elements("split('a,b,c', ',')", "element > 'a'") }} = 2 as is_right
    from examples
    union all
    select
        'distinct_over' as macro_name,
        {{ optimizely_e3.distinct_over(
            "split('a,b,B,c', ',')", 'lower(element)', "element <> 'c'"
        ) }} in (split('a,b', ','), split('b,a', ','))
        and {{ optimizely_e3.distinct_over(
            'split(cast(null as string), \',\')', 'element', 'true'
        ) }} is null as is_right
    from examples
    union all
    select
        'least_over' as macro_name,
        {{ optimizely_e3.least_over(
            "split('c,B,a', ',')", 'lower(element)', "element <> 'a'"
        ) }} = 'b'
        and {{ optimizely_e3.least_over("split('a', ',')", 'element', "element <> 'a'") }} is null
            as is_right
    from examples
    union all
    select
        'is_computed_once' as macro_name,
        count(*) = 1 as is_right
    from examples
    where {{ optimizely_e3.is_computed_once() }}
    union all
    select
        'attribute_text' as macro_name,
        {{ optimizely_e3.attribute_text("'\ue000true'") }} = 'true'
        and {{ optimizely_e3.attribute_text("'true'") }} = 'true' as is_right
    from examples
    union all
    select
        'each_element' as macro_name,
        count(*) = 2 and min(letter) = 'a' and max(letter) = 'b' as is_right
    from (
        select {{ optimizely_e3.each_element("split('a,b', ',')") }} as letter
        from examples
    ) as letters
    union all
    select
        'list_of' as macro_name,
        count(*) = 2 and min(letter) = 'a' and max(letter) = 'b' as is_right
    from (
        select {{ optimizely_e3.each_element(optimizely_e3.list_of(["'a'", "'b'"])) }} as letter
        from examples
    ) as letters
    union all
    select
        'first_element' as macro_name,
        {{ optimizely_e3.first_element("split('a,b,c', ',')", "element > 'a'") }} = 'b'
        and {{ optimizely_e3.first_element("split('a,b', ',')", "element > 'b'") }} is null
            as is_right
    from examples
    union all
    select
        'greatest_element_up_to' as macro_name,
        {{ optimizely_e3.greatest_element_up_to("split('d,b,a', ',')", "'c'") }} = 'b'
        and {{ optimizely_e3.greatest_element_up_to("split('d,b,a', ',')", "'b'") }} = 'b'
        and {{ optimizely_e3.greatest_element_up_to("split('d,b', ',')", "'a'") }} is null
            as is_right
    from examples
    union all
    select
        'joined_text' as macro_name,
        {{ optimizely_e3.joined_text("split('a,b', ',')", "' or '") }} = 'a or b' as is_right
    from examples
    union all
    select
        'each_number_to' as macro_name,
        count(*) = 4 and min(number) = 1 and max(number) = 4 as is_right
    from (
        select {{ optimizely_e3.each_number_to(4) }} as number
        from examples
    ) as numbers
    union all
    select
        'numbers_to' as macro_name,
        count(*) = 2 and min(number) = 1 and max(number) = 2 as is_right
    from (
        select {{ optimizely_e3.each_element(optimizely_e3.numbers_to('wanted')) }} as number
        from (
            select 2 as wanted
            union all
            select 0 as wanted
        ) as wishes
    ) as numbers
    union all
    select
        'sum_over' as macro_name,
        {{ optimizely_e3.sum_over(optimizely_e3.list_of(['1e0', '2e0']), 'element * element') }}
        = 5 as is_right
    from examples
    union all
    select
        'days_between' as macro_name,
        {{ optimizely_e3.days_between('cast(earlier as date)', 'cast(later as date)') }} = 1
        and {{ optimizely_e3.days_between('cast(later as date)', 'cast(earlier as date)') }} = -1
            as is_right
    from examples
    union all
    select
        'number_text' as macro_name,
        {{ optimizely_e3.number_text('number', 1) }} = '0.3'
        and {{ optimizely_e3.percent_text('number') }} = '25.0 %'
        and {{ optimizely_e3.p_value_text('number / 1e4') }} = 'p = 0.00003' as is_right
    from (select 25e-2 as number) as numbers
    union all
    select
        'chi_square_tail' as macro_name,
        abs({{ optimizely_e3.chi_square_tail('x', 'degrees') }} / tail - 1e0) < 1e-12 as is_right
    from (
        select
            3e1 as x,
            cast(1 as bigint) as degrees,
            4.320463057827497e-8 as tail
        union all
        select
            5e1 as x,
            cast(7 as bigint) as degrees,
            1.4444852779215406e-8 as tail
        union all
        select
            2e1 as x,
            cast(8 as bigint) as degrees,
            1.0336050675925718e-2 as tail
    ) as tails
    union all
    select
        'row_key' as macro_name,
        count(distinct row_key) = 3 as is_right
    from (
        select {{ optimizely_e3.row_key(['letter', 'other']) }} as row_key
        from (
            select
                letter,
                letter || 'a' as other
            from (
                select {{ optimizely_e3.each_element("split('a,b,aa', ',')") }} as letter
                from examples
            ) as letters
        ) as pairs
    ) as keys
    union all
    select
        'dates_between' as macro_name,
        count(*) = 3
        and min(day) = cast('2024-02-28' as date)
        and max(day) = cast('2024-03-01' as date) as is_right
    from (
        select {{ optimizely_e3.each_element(days) }} as day
        from (
            select
                cast('2024-02-28' as date) as first_date,
                cast('2024-03-01' as date) as last_date
            union all
            select
                cast('2024-02-28' as date) as first_date,
                cast(null as date) as last_date
        ) as bounds
    ) as dates
    union all
    select
        'spaced_elements' as macro_name,
        count(*) = 3 and sum(taken) = 1 + 4 + 9 as is_right
    from (
        select {{ optimizely_e3.each_element(spaced) }} as taken -- noqa: PRS
        from (
            select array_sort(array_agg(cast(number as bigint))) as numbers
            from (
                select {{ optimizely_e3.each_element("split('9,1,2,3,4,5', ',')") }} as number
                from examples
            ) as unsorted
        ) as sorted
    ) as spaced
)

select *
from checks
where not coalesce(is_right, false)
