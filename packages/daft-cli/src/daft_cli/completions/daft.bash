# Completion of daft's words in bash. Made by `daft completions bash`.

# Set __daft_known to what may stand behind a path of verbs: kind|word|meaning|help a line.
__daft_know() {
  case "$1" in
@WORDS@
  *) __daft_known='' ;;
  esac
}

# Print the candidates of a context for a word.
__daft_ask() {
  if [ -x @PYTHON@ ] && [ -r @FILE@ ]; then
    @PYTHON@ -I -S @FILE@ @DIRECTORIES@ ${__daft_place[@]+"${__daft_place[@]}"} \
      __complete "$1" "$2" 2>/dev/null && return
  fi
  command daft ${__daft_place[@]+"${__daft_place[@]}"} __complete "$1" "$2" 2>/dev/null
}

# Split the line up to the cursor as the shell would, without running anything of it.
# Sets __daft_typed (the words before the current one), __daft_word (the current one, unquoted),
# __daft_cut (how much of it readline leaves alone) and __daft_quote (the quote still open).
__daft_split() {
  local line="${COMP_LINE:0:COMP_POINT}" char word='' started='' i=0
  __daft_typed=() __daft_cut=0 __daft_quote=''
  for (( i = 0; i < ${#line}; i++ )); do
    char="${line:i:1}"
    if [ "$__daft_quote" = "'" ]; then
      if [ "$char" = "'" ]; then __daft_quote=''; else word+="$char"; fi
    elif [ "$__daft_quote" = '"' ]; then
      if [ "$char" = '"' ]; then
        __daft_quote=''
      elif [ "$char" = '\' ] && [[ "${line:i+1:1}" = ['"\$`'] ]]; then
        i=$((i + 1)); word+="${line:i:1}"
      else
        word+="$char"
      fi
    else
      case "$char" in
      ' ' | $'\t' | $'\n')
        if [ -n "$started" ]; then __daft_typed+=("$word"); fi
        word='' started='' __daft_cut=0
        continue
        ;;
      "'" | '"') __daft_quote="$char" __daft_cut=${#word} ;;
      '\') i=$((i + 1)); word+="${line:i:1}" ;;
      *)
        word+="$char"
        case "$COMP_WORDBREAKS" in *"$char"*) __daft_cut=${#word} ;; esac
        ;;
      esac
    fi
    started=1
  done
  __daft_word="$word"
}

# Offer one candidate, as it has to be typed.
__daft_offer() {
  local text="$1"
  case "$text" in "$__daft_start"*) ;; *) return ;; esac
  text="$__daft_before$text"
  text="${text:__daft_cut}"
  case "$__daft_quote" in
  "'") text="${text//\'/\'\\\'\'}" ;;
  '"') text="${text//\\/\\\\}" text="${text//\"/\\\"}" text="${text//\$/\\\$}" text="${text//\`/\\\`}" ;;
  *) printf -v text '%q' "$text" ;;
  esac
  COMPREPLY+=("$text")
}

# Offer what has a meaning: see kind|word|meaning|help.
__daft_offer_meant() {
  local kind value rest one
  case "$1" in
  =*) for one in ${1#=}; do __daft_offer "$one"; done ;;
  @*)
    while IFS=$'\t' read -r kind value rest; do
      if [ "$1" = @hooks-jobs-job ]; then __daft_offer "$value"; else __daft_offer "$kind"; fi
    done < <(__daft_ask "${1#@}" "$__daft_start")
    ;;
  [df])
    local IFS=$'\n' how=-f
    if [ "$1" = d ]; then how=-d; fi
    for one in $(compgen "$how" -- "$__daft_start"); do
      if [ -d "$one" ]; then one+=/; fi
      __daft_offer "$one"
    done
    ;;
  esac
}

_daft() {
  local __daft_known __daft_word __daft_quote __daft_cut __daft_start __daft_before=''
  local -a __daft_typed=() __daft_place=()
  local path='' waiting='' only='' index=0 typed kind word meaning help found last
  COMPREPLY=()
  __daft_split
  __daft_know ''
  for typed in "${__daft_typed[@]:1}"; do
    if [ -n "$waiting" ]; then
      if [ "$waiting" = -C ]; then __daft_place+=(-C "$typed"); fi
      waiting=''
      continue
    fi
    case "$only$typed" in
    --) only=' '; continue ;;
    --*=*) continue ;;
    esac
    found=''
    while IFS='|' read -r kind word meaning help; do
      if [ "$word" = "$typed" ] && [ "$kind" != a ] && [ -z "$only" ]; then
        if [ "$kind" = v ] && [ "$index" = 0 ]; then
          path="${path:+$path }$word" found=v
        elif [ "$kind" = o ]; then
          found=o
          if [ -n "$meaning" ]; then waiting="$word"; fi
        fi
        break
      fi
    done <<< "$__daft_known"
    if [ "$path" = 'hooks jobs' ]; then path=jobs; fi
    if [ "$found" = v ]; then
      __daft_know "$path"
    elif [ -z "$found" ] && [[ -n "$only" || "$typed" != -?* ]]; then
      index=$((index + 1))
    fi
  done
  __daft_start="$__daft_word"
  if [ -z "$waiting$only" ] && [[ "$__daft_word" = --*=* ]]; then
    waiting="${__daft_word%%=*}" __daft_before="$waiting=" __daft_start="${__daft_word#*=}"
  fi
  last='' found=0
  while IFS='|' read -r kind word meaning help; do
    if [ -n "$waiting" ]; then
      if [ "$word" = "$waiting" ]; then __daft_offer_meant "$meaning"; break; fi
    elif [ "$kind" = o ]; then
      if [[ -z "$only" && "$__daft_start" = -* ]]; then __daft_offer "$word"; fi
    elif [ "$kind" = v ]; then
      if [ -z "$only" ] && [ "$index" = 0 ]; then __daft_offer "$word"; fi
    elif [ "$kind" = a ]; then
      if [ "$found" = "$index" ] || [[ "$word" = '*' && "$found" -le "$index" ]]; then last="$meaning"; fi
      found=$((found + 1))
    fi
  done <<< "$__daft_known"
  if [ -n "$last" ] && [ -z "$waiting" ]; then __daft_offer_meant "$last"; fi
  # What ends so is to be gone on with.
  case "${COMPREPLY[*]:-}" in *[:/=] | *[:/=]\ *) compopt -o nospace 2>/dev/null ;; # bash 3 has no such thing
  esac
  return 0
}

complete -o nosort -F _daft daft git-daft 2>/dev/null || complete -F _daft daft git-daft
