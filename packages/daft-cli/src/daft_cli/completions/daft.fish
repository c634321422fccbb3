# Completion of daft's words in fish. Made by `daft completions fish`.

# Print what may stand behind a path of verbs: kind|word|meaning|help a line.
function __daft_know
  switch "$argv[1]"
@WORDS@
  end
end

# Print the candidates of a context for a word; `place` are words before the verb.
function __daft_ask -a context word
  set -l place $argv[3..]
  if test -x @PYTHON@; and test -r @FILE@
    @PYTHON@ -I -S @FILE@ @DIRECTORIES@ $place __complete $context $word 2>/dev/null; and return
  end
  command daft $place __complete $context $word 2>/dev/null
end

# Print what has a meaning: see kind|word|meaning|help.
function __daft_offer_meant -a meaning before word
  set -l place $argv[4..]
  set -l tab \t
  switch $meaning
    case '=*'
      printf "$before%s\n" (string split ' ' -- (string sub -s 2 -- $meaning))
    case '@*'
      for line in (__daft_ask (string sub -s 2 -- $meaning) $word $place)
        set -l parts (string split $tab -- $line)
        if test $meaning = '@hooks-jobs-job'
          printf '%s%s\t%s\n' $before $parts[2] $parts[3]
        else
          printf '%s%s\t%s\n' $before $parts[1] (string join ' ' -- $parts[2..])
        end
      end
    case d
      printf "$before%s\n" (__fish_complete_directories $word)
    case f
      printf "$before%s\n" (__fish_complete_path $word)
  end
end

function __daft_complete
  set -l typed (commandline -opc)[2..]
  set -l current (commandline -ct | string unescape)
  set -q current[1]; or set current ''
  set -l path
  set -l place
  set -l waiting ''
  set -l only ''
  set -l index 0
  set -l known (__daft_know '')
  for word in $typed
    if test -n "$waiting"
      test "$waiting" = -C; and set -a place -C $word
      set waiting ''
      continue
    end
    if test -z "$only"; and test "$word" = --
      set only 1
      continue
    end
    if test -z "$only"; and string match -q -- '--*=*' $word
      continue
    end
    set -l found ''
    if test -z "$only"
      for line in $known
        set -l parts (string split -m 3 '|' -- $line)
        test "$parts[2]" = "$word"; and test $parts[1] != a; or continue
        if test $parts[1] = v -a $index = 0
          set -a path $word
          set found v
        else if test $parts[1] = o
          set found o
          test -n "$parts[3]"; and set waiting $word
        end
        break
      end
    end
    test "$path" = 'hooks jobs'; and set path jobs
    if test "$found" = v
      set known (__daft_know "$path")
    else if test -z "$found"
      if test -n "$only"; or not string match -q -- '-?*' $word
        set index (math $index + 1)
      end
    end
  end
  set -l before ''
  if test -z "$waiting$only"; and string match -q -- '--*=*' $current
    set waiting (string split -m 1 = -- $current)[1]
    set before "$waiting="
    set current (string split -m 1 = -- $current)[2]
  end
  set -l nth 0
  set -l last ''
  for line in $known
    set -l parts (string split -m 3 '|' -- $line)
    if test -n "$waiting"
      if test "$parts[2]" = "$waiting"
        __daft_offer_meant "$parts[3]" "$before" "$current" $place
        return
      end
      continue
    end
    switch $parts[1]
      case o
        if test -z "$only"; and string match -q -- '-*' $current
          printf '%s\t%s\n' $parts[2] $parts[4]
        end
      case v
        if test -z "$only"; and test $index = 0
          printf '%s\t%s\n' $parts[2] $parts[4]
        end
      case a
        if test $nth = $index; or begin; test "$parts[2]" = '*'; and test $nth -le $index; end
          set last $parts[3]
        end
        set nth (math $nth + 1)
    end
  end
  if test -n "$last"
    __daft_offer_meant "$last" '' "$current" $place
  end
end

complete -c daft -f -k -a '(__daft_complete)'
